use super::*;

fn produce_frame(batch: &[u8]) -> Vec<u8> {
    let mut head = ProduceHead::new("rain", 1, batch.len());
    head.patch(77, 3);
    [head.bytes(), batch].concat()
}

fn fetch_frame() -> Vec<u8> {
    let mut frame = FetchFrame::new("rain", 500, 4096);
    frame.patch(78, 2, 1 << 40);
    frame.bytes().to_vec()
}

#[test]
fn the_yardstick_reads_what_the_client_writes() {
    let frame = produce_frame(b"batch");
    assert_eq!(frame_end(&frame), Some(frame.len()));
    let Some(Asked::Produce { correlation: 77, acks: 1, topic, partition: 3, batch }) = Asked::parse(&frame)
    else {
        panic!("{:?}", Asked::parse(&frame));
    };
    assert_eq!((&frame[topic], &frame[batch]), (&b"rain"[..], &b"batch"[..]));
    let frame = fetch_frame();
    assert_eq!(frame_end(&frame), Some(frame.len()));
    let Some(Asked::Fetch { correlation: 78, topic, partition: 2, offset, max_bytes: 4096 }) =
        Asked::parse(&frame)
    else {
        panic!("{:?}", Asked::parse(&frame));
    };
    assert_eq!((&frame[topic], offset), (&b"rain"[..], 1 << 40));
}

#[test]
fn the_client_reads_what_the_yardstick_writes() {
    let produced = Produced { correlation: 7, error: 2, base: 1 << 33 };
    let mut out = Vec::new();
    produced.write(b"rain", 3, &mut out);
    assert_eq!(frame_end(&out), Some(out.len()));
    assert_eq!(Produced::parse(&out), Some(produced));
    let fetched = Fetched { correlation: 8, error: 1, high_watermark: 99, log_start: 5, len: 1000 };
    let mut out = Vec::new();
    fetched.write(b"rain", 3, &mut out);
    assert_eq!(out.len(), Fetched::head_len(4));
    assert_eq!(Fetched::parse(&out), Some(fetched));
}

#[test]
fn a_frame_that_is_cut_or_of_another_shape_is_refused() {
    for whole in [produce_frame(b"batch"), fetch_frame()] {
        for len in 0..whole.len() {
            assert_eq!(frame_end(&whole[..len]), None, "{len}");
            // Of any length that it claims, it is no request; nothing is read past its end.
            assert_eq!(Asked::parse(&whole[..len]), None, "{len}");
        }
        // Another API, another version, a name that is longer than the frame, more partitions than one.
        let topic = whole.windows(4).position(|window| window == b"rain").unwrap();
        for at in [PREFIX_LEN, PREFIX_LEN + 2, CORRELATION_AT + 4, topic - 2, topic + 4] {
            let mut bent = whole.clone();
            bent[at] = 0x7F;
            assert_eq!(Asked::parse(&bent), None, "{at}");
        }
    }
    assert_eq!(frame_end(&[0xFF; 64]), None);
    let mut answers = (Vec::new(), Vec::new());
    Produced { correlation: 7, error: 0, base: 0 }.write(b"rain", 3, &mut answers.0);
    Fetched { correlation: 7, error: 0, high_watermark: 0, log_start: 0, len: 0 }.write(
        b"rain",
        3,
        &mut answers.1,
    );
    for len in 0..answers.0.len() {
        assert_eq!(Produced::parse(&answers.0[..len]), None, "{len}");
    }
    for len in 0..answers.1.len() {
        assert_eq!(Fetched::parse(&answers.1[..len]), None, "{len}");
    }
    // Two partitions in one answer.
    answers.1[18 + 3] = 2;
    assert_eq!(Fetched::parse(&answers.1), None);
}
