//! Running out of descriptors sheds connections and touches no log.
//!
//! ```text
//!   Reserve: descriptors kept open for nothing
//!     a log must open a file and there is none left ──> takes the place of one, else waits a moment
//!     a connection comes while any is missing ────────> not accepted; it waits in the system's queue
//!     connections close ──> the reserve is filled again ──> they are accepted again
//! ```

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use forebay_link::{Conn, Connecting, Listener, Net};
use forebay_log::{DirEntry, Disk, Lock, Open, Space, is_out_of_descriptors};

/// A descriptor that a log waits for is looked for this often, and so many times: 5 s in all. Its threads may wait.
const WAIT: Duration = Duration::from_millis(20);
const WAITS_MAX: usize = 250;

/// Descriptors kept back, so that a log finds one when all others are taken.
#[derive(Debug)]
pub(crate) struct Reserve {
    /// How many there are while it is whole.
    size: usize,
    held: Mutex<Vec<File>>,
    whole: AtomicBool,
}

impl Reserve {
    /// Keeps `count` descriptors back, or as many as the system gives.
    pub(crate) fn of(count: usize) -> Arc<Self> {
        let held: Vec<File> = (0..count).map_while(|_| spare().ok()).collect();
        Arc::new(Self { size: held.len(), held: Mutex::new(held), whole: AtomicBool::new(true) })
    }

    fn held(&self) -> MutexGuard<'_, Vec<File>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives one up; false if there is none. From then on nothing is accepted until the reserve is whole again.
    fn give(&self) -> bool {
        self.whole.store(false, Ordering::Relaxed);
        self.held().pop().is_some()
    }

    /// True if nothing is missing, or could be had again.
    fn is_whole(&self) -> bool {
        if self.whole.load(Ordering::Relaxed) {
            return true;
        }
        let mut held = self.held();
        while held.len() < self.size {
            match spare() {
                Ok(one) => held.push(one),
                Err(_) => return false,
            }
        }
        self.whole.store(true, Ordering::Relaxed);
        true
    }

    /// Does what needs a descriptor. Where there is none it takes one of the reserve, and where that is empty, too, it
    /// waits. Being out of descriptors is an answer only after that.
    fn opening<T>(&self, mut open: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        let mut waits = 0;
        loop {
            match open() {
                Err(error) if is_out_of_descriptors(&error) => {
                    let given = self.give();
                    if waits == WAITS_MAX {
                        return Err(error);
                    }
                    tracing::warn!(%error, "no descriptor is left for a log: it takes one kept back, and no \
                         connections are accepted until there are enough");
                    if !given {
                        waits += 1;
                        std::thread::sleep(WAIT);
                    }
                }
                outcome => return outcome,
            }
        }
    }
}

/// A descriptor of nothing.
fn spare() -> io::Result<File> {
    File::open("/dev/null")
}

/// A disk that opens its files from a [`Reserve`] where nothing else is left.
#[derive(Debug)]
pub(crate) struct SparedDisk<D> {
    pub(crate) disk: D,
    pub(crate) reserve: Arc<Reserve>,
}

impl<D: Disk> Disk for SparedDisk<D> {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn forebay_log::File>> {
        self.reserve.opening(|| self.disk.open(path, how))
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir(path)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_file(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_dir(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.reserve.opening(|| self.disk.list(path))
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.disk.exists(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.reserve.opening(|| self.disk.sync_dir(path))
    }
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        self.reserve.opening(|| self.disk.lock(path))
    }
    fn space(&self, path: &Path) -> io::Result<Space> {
        self.disk.space(path)
    }
}

/// A network that accepts nothing while the [`Reserve`] is not whole.
#[derive(Debug)]
pub(crate) struct SparingNet<N> {
    pub(crate) net: N,
    pub(crate) reserve: Arc<Reserve>,
}

impl<N: Net> Net for SparingNet<N> {
    fn listen(&self, addr: SocketAddr) -> io::Result<Box<dyn Listener>> {
        let listener = self.net.listen(addr)?;
        Ok(Box::new(SparingListener { listener, reserve: self.reserve.clone() }))
    }
    fn connect(&self, addr: &str) -> Connecting {
        self.net.connect(addr)
    }
}

#[derive(Debug)]
struct SparingListener {
    listener: Box<dyn Listener>,
    reserve: Arc<Reserve>,
}

impl Listener for SparingListener {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Box<dyn Conn>, SocketAddr)>> {
        if !self.reserve.is_whole() {
            // Its caller waits a moment after an error, and asks again.
            return Poll::Ready(Err(io::Error::other(
                "too few descriptors are left, and they are for the logs",
            )));
        }
        self.listener.poll_accept(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use forebay_log::RealDisk;
    use rustix::io::Errno;

    use super::*;

    fn shortage() -> io::Error {
        Errno::MFILE.into()
    }

    #[test]
    fn who_finds_no_descriptor_takes_one_of_the_reserve_until_there_are_enough_again() {
        let reserve = Reserve::of(3);
        let left = Cell::new(2);
        let opened = reserve.opening(|| {
            left.set(left.get() - 1);
            if left.get() >= 0 { Err(shortage()) } else { Ok(7) }
        });
        assert_eq!((opened.unwrap(), reserve.held().len()), (7, 1));
        assert!(!reserve.whole.load(Ordering::Relaxed));
        assert!(reserve.is_whole() && reserve.held().len() == 3, "there are enough: it is filled");
    }

    #[test]
    fn who_waited_for_one_gets_it_and_other_errors_are_answered_at_once() {
        let reserve = Reserve::of(0);
        let tries = Cell::new(0);
        let opened = |fails: usize, error: fn() -> io::Error| {
            tries.set(0);
            reserve.opening(|| {
                tries.set(tries.get() + 1);
                if tries.get() > fails { Ok(()) } else { Err(error()) }
            })
        };
        opened(3, || Errno::NFILE.into()).unwrap();
        assert_eq!(opened(1, || Errno::NOSPC.into()).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(tries.get(), 1);
    }

    #[test]
    fn the_disk_behind_it_is_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let disk = SparedDisk { disk: RealDisk, reserve: Reserve::of(1) };
        disk.create_dir(&dir.path().join("a")).unwrap();
        disk.open(&dir.path().join("b"), Open::Create).unwrap();
        disk.rename(&dir.path().join("b"), &dir.path().join("c")).unwrap();
        disk.sync_dir(dir.path()).unwrap();
        assert_eq!(disk.list(dir.path()).unwrap().len(), 2);
        assert!(
            disk.exists(&dir.path().join("c")).unwrap() && disk.space(dir.path()).unwrap().total_bytes > 0
        );
        disk.lock(&dir.path().join("c")).unwrap();
        disk.remove_file(&dir.path().join("c")).unwrap();
        disk.remove_dir(&dir.path().join("a")).unwrap();
    }
}
