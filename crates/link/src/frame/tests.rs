use std::collections::VecDeque;

use forebay_base::Piece;

use super::*;

/// A peer whose bytes arrive `step` at a time, then the connection closes.
#[derive(Debug)]
struct Feed {
    bytes: VecDeque<u8>,
    step: usize,
    largest_ask: usize,
}

impl Feed {
    fn new(bytes: Vec<u8>, step: usize) -> Self {
        Self { bytes: bytes.into(), step, largest_ask: 0 }
    }
}

impl Conn for Feed {
    fn poll_recv(
        &mut self,
        _: &mut Context<'_>,
        buffer: &mut BytesMut,
        bytes_max: usize,
    ) -> Poll<io::Result<usize>> {
        assert!(bytes_max > 0, "an empty receive reads like a closed connection");
        self.largest_ask = self.largest_ask.max(bytes_max);
        let len = bytes_max.min(self.step).min(self.bytes.len());
        buffer.extend(self.bytes.drain(..len));
        Poll::Ready(Ok(len))
    }

    fn poll_send(&mut self, _: &mut Context<'_>, _: &mut VecDeque<Piece>) -> Poll<io::Result<usize>> {
        Poll::Pending
    }
}

fn framed(bodies: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for body in bodies {
        bytes.extend_from_slice(&(body.len() as i32).to_be_bytes());
        bytes.extend_from_slice(body);
    }
    bytes
}

#[tokio::test]
async fn frames_of_all_sizes_arrive_whole_whatever_the_steps() {
    let large = vec![7u8; 300_000];
    let bodies: [&[u8]; 6] = [b"", b"one", &large, b"two", &large[..4096], b"three"];
    for (step, ahead) in
        [(1, 0), (3, 9000), (4096, 0), (5000, 1 << 16), (usize::MAX, 0), (usize::MAX, 1 << 16)]
    {
        let mut feed = Feed::new(framed(&bodies), step);
        let mut reader = FrameReader::new(1 << 20);
        reader.read_ahead(ahead);
        for body in bodies {
            assert_eq!(reader.announced(&mut feed).await.unwrap(), Some(body.len()));
            assert_eq!(reader.frame(&mut feed).await.unwrap().unwrap(), body);
        }
        assert_eq!(reader.frame(&mut feed).await.unwrap(), None);
        reader.shrink();
        assert_eq!(reader.held_bytes(), 0);
    }
}

#[tokio::test]
async fn a_claimed_length_costs_one_step_of_memory() {
    let mut bytes = (90_000_000i32).to_be_bytes().to_vec();
    bytes.extend_from_slice(&[1; 10]);
    let mut feed = Feed::new(bytes, usize::MAX);
    let mut reader = FrameReader::new(limits::REQUEST_BYTES_MAX);
    assert_eq!(reader.announced(&mut feed).await.unwrap(), Some(90_000_000));
    assert!(reader.held_bytes() <= FRAME_BUFFER_BYTES);
    assert!(matches!(reader.frame(&mut feed).await, Err(FrameError::Cut)));
    assert!(feed.largest_ask <= limits::FRAME_STEP_BYTES);
    assert!(!reader.is_saturated());
    assert!(reader.held_bytes() <= 2 * limits::FRAME_STEP_BYTES);
}

#[tokio::test]
async fn impossible_lengths_are_refused() {
    let mut feed = Feed::new((-1i32).to_be_bytes().to_vec(), usize::MAX);
    assert!(matches!(FrameReader::new(10).frame(&mut feed).await, Err(FrameError::Negative(-1))));
    let mut feed = Feed::new(11i32.to_be_bytes().to_vec(), usize::MAX);
    let refused = FrameReader::new(10).announced(&mut feed).await;
    assert!(matches!(refused, Err(FrameError::TooLong { announced: 11, max: 10 })));
}

#[tokio::test]
async fn closing_inside_a_length_is_an_error() {
    let mut feed = Feed::new(vec![0, 0], usize::MAX);
    assert!(matches!(FrameReader::new(10).announced(&mut feed).await, Err(FrameError::Cut)));
}
