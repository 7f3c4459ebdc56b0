use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::{ConnIo, FrameReader, accept, send_all};

/// A real file; `descriptor` says whether it may be handed to sendfile.
#[derive(Debug)]
struct Data {
    file: File,
    descriptor: bool,
}

impl Region for Data {
    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(buf, at)
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.descriptor.then(|| self.file.as_fd())
    }
}

/// A file of `len` known bytes whose name is gone already.
fn unlinked(len: usize, descriptor: bool) -> (Arc<Data>, Vec<u8>) {
    let content: Vec<u8> = (0..len).map(|position| (position / 7) as u8).collect();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&content).unwrap();
    (Arc::new(Data { file, descriptor }), content)
}

async fn pair() -> (Box<dyn Conn>, Box<dyn Conn>) {
    let mut listener = TcpNet.listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let (near, far) = tokio::join!(TcpNet.connect(&addr), accept(listener.as_mut()));
    (near.unwrap(), far.unwrap().0)
}

#[tokio::test]
async fn bytes_and_unlinked_files_arrive_in_order() {
    for descriptor in [true, false] {
        let (mut near, far) = pair().await;
        let (file, content) = unlinked(3_000_000, descriptor);
        let mut expected = b"head".to_vec();
        expected.extend_from_slice(&content[5..2_999_999]);
        expected.extend_from_slice(&content[..1]);
        expected.extend_from_slice(b"tail");
        let mut queue: VecDeque<Piece> = [
            Piece::Bytes(Bytes::new()),
            Piece::Bytes(Bytes::from_static(b"he")),
            Piece::Bytes(Bytes::from_static(b"ad")),
            Piece::File { file: file.clone(), at: 5, len: 2_999_994 },
            Piece::File { file: file.clone(), at: 0, len: 1 },
            Piece::File { file, at: 0, len: 0 },
            Piece::Bytes(Bytes::from_static(b"tail")),
        ]
        .into();
        let mut far = ConnIo::new(far);
        let mut received = Vec::new();
        let (sent, read) = tokio::join!(
            async {
                let sent = send_all(near.as_mut(), &mut queue).await;
                drop(near);
                sent
            },
            far.read_to_end(&mut received),
        );
        sent.unwrap();
        read.unwrap();
        assert!(received == expected, "descriptor {descriptor}: {} bytes", received.len());
    }
}

#[tokio::test]
async fn a_file_that_ends_early_is_an_error() {
    for descriptor in [true, false] {
        let (mut near, far) = pair().await;
        let (file, _) = unlinked(10, descriptor);
        let mut queue = VecDeque::from([Piece::File { file, at: 0, len: 11 }]);
        let error = send_all(near.as_mut(), &mut queue).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        drop(far);
    }
}

#[tokio::test]
async fn many_small_pieces_and_a_slow_reader() {
    let (mut near, mut far) = pair().await;
    let mut queue: VecDeque<Piece> = VecDeque::new();
    for round in 0..20_000u32 {
        queue.push_back(Piece::Bytes(Bytes::copy_from_slice(&104u32.to_be_bytes())));
        queue.push_back(Piece::Bytes(Bytes::copy_from_slice(&round.to_be_bytes())));
        queue.push_back(Piece::Bytes(Bytes::from_static(&[9; 100])));
    }
    let sender = tokio::spawn(async move { send_all(near.as_mut(), &mut queue).await });
    let mut reader = FrameReader::new(1000);
    for round in 0..20_000u32 {
        let frame = reader.frame(far.as_mut()).await.unwrap().unwrap();
        assert_eq!(frame[..4], round.to_be_bytes());
        assert_eq!(frame.len(), 104);
    }
    sender.await.unwrap().unwrap();
    assert!(reader.frame(far.as_mut()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_connection_is_a_byte_stream_both_ways() {
    let (near, far) = pair().await;
    let (mut near, mut far) = (ConnIo::new(near), ConnIo::new(far));
    let content = vec![3u8; 500_000];
    let mut echoed = vec![0u8; content.len()];
    let echo = async {
        let mut buffer = vec![0u8; content.len()];
        far.read_exact(&mut buffer).await.unwrap();
        far.write_all(&buffer).await.unwrap();
        far.shutdown().await.unwrap();
    };
    let ask = async {
        near.write_all(&content).await.unwrap();
        near.flush().await.unwrap();
        near.read_exact(&mut echoed).await.unwrap();
    };
    tokio::join!(echo, ask);
    assert!(echoed == content);
}

#[tokio::test]
async fn a_restarted_listener_gets_its_port_back() {
    let listener = TcpNet.listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    assert_eq!(TcpNet.listen(addr).unwrap().local_addr().unwrap(), addr);
    assert!(TcpNet.connect("127.0.0.1:1").await.is_err());
}
