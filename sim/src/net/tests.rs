use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use forebay_base::Piece;
use forebay_link::{Conn, Net};

use crate::run;

async fn send_all(conn: &mut dyn Conn, bytes: &[u8]) {
    let mut queue = VecDeque::from([Piece::Bytes(Bytes::copy_from_slice(bytes))]);
    while !queue.is_empty() {
        poll_fn(|cx| conn.poll_send(cx, &mut queue)).await.unwrap();
    }
}

async fn receive_all(conn: &mut dyn Conn) -> Vec<u8> {
    let mut all = BytesMut::new();
    while poll_fn(|cx| conn.poll_recv(cx, &mut all, 1000)).await.unwrap() > 0 {}
    all.to_vec()
}

/// Sends more than a window each way and hands back the trace's hash.
fn talk(seed: u64) -> u64 {
    run(seed, |world| async move {
        let mut listener = world.net.listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        let sent: Vec<u8> = (0..1_000_000u32).map(|number| (number % 251) as u8).collect();
        let expected = sent.clone();
        let server = tokio::spawn(async move {
            let (mut conn, _) = poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
            let received = receive_all(&mut *conn).await;
            assert!(received == expected);
        });
        let mut conn = world.net.connect(&addr).await.unwrap();
        send_all(&mut *conn, &sent).await;
        drop(conn);
        server.await.unwrap();
        assert!(world.net.connect(&addr).await.is_err(), "the listener is gone");
        world.trace.hash()
    })
}

#[test]
fn bytes_arrive_in_order_and_equal_seeds_give_equal_traces() {
    assert_eq!(talk(7), talk(7));
    assert_ne!(talk(7), talk(8));
}

#[test]
fn a_reset_fails_both_ends() {
    run(3, |world| async move {
        let mut listener = world.net.listen(SocketAddr::from(([10, 0, 0, 1], 9092))).unwrap();
        let mut near = world.net.connect("10.0.0.1:9092").await.unwrap();
        let (mut far, _) = poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
        send_all(&mut *near, b"lost").await;
        world.net.reset_all();
        let mut buffer = BytesMut::new();
        assert!(poll_fn(|cx| far.poll_recv(cx, &mut buffer, 8)).await.is_err());
        assert!(poll_fn(|cx| near.poll_recv(cx, &mut buffer, 8)).await.is_err());
    });
}
