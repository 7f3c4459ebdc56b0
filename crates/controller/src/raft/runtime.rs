use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use forebay_base::{Rng, SeededRng};
use openraft::{AsyncRuntime, OptionalSend, TokioInstant, TokioRuntime};
use tokio::task::futures::TaskLocalFuture;

tokio::task_local! {
    static RNG: Arc<dyn Rng>;
}

/// openraft's runtime: tokio's tasks and clock, so that it runs under a paused clock, with Env's randomness, so that
/// elections repeat. The generator travels with the task and on to every task spawned from it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ControlRuntime;

/// Env's randomness as openraft wants it.
#[derive(Debug)]
pub(crate) struct RaftRng(Arc<dyn Rng>);

/// Runs `future`, and whatever openraft spawns in it, with this generator.
pub(crate) fn with_rng<F: Future>(rng: Arc<dyn Rng>, future: F) -> TaskLocalFuture<Arc<dyn Rng>, F> {
    RNG.scope(rng, future)
}

fn current() -> Arc<dyn Rng> {
    // Outside of `with_rng` there are only openraft's own storage tests, which draw nothing that matters.
    RNG.try_with(Arc::clone).unwrap_or_else(|_| Arc::new(SeededRng::new(0)))
}

impl rand::RngCore for RaftRng {
    fn next_u32(&mut self) -> u32 {
        (self.0.next_u64() >> 32) as u32
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let word = self.0.next_u64().to_le_bytes();
            chunk.iter_mut().zip(word).for_each(|(byte, drawn)| *byte = drawn);
        }
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand::Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl AsyncRuntime for ControlRuntime {
    type JoinError = tokio::task::JoinError;
    type JoinHandle<T: OptionalSend + 'static> = tokio::task::JoinHandle<T>;
    type Sleep = tokio::time::Sleep;
    type Instant = TokioInstant;
    type TimeoutError = tokio::time::error::Elapsed;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = tokio::time::Timeout<T>;
    type ThreadLocalRng = RaftRng;
    type OneshotSender<T: OptionalSend> = <TokioRuntime as AsyncRuntime>::OneshotSender<T>;
    type OneshotReceiverError = tokio::sync::oneshot::error::RecvError;
    type OneshotReceiver<T: OptionalSend> = tokio::sync::oneshot::Receiver<T>;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        tokio::spawn(RNG.scope(current(), future))
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        tokio::time::sleep(duration)
    }

    fn sleep_until(deadline: Self::Instant) -> Self::Sleep {
        tokio::time::sleep_until(deadline)
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(
        duration: Duration,
        future: F,
    ) -> Self::Timeout<R, F> {
        tokio::time::timeout(duration, future)
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(
        deadline: Self::Instant,
        future: F,
    ) -> Self::Timeout<R, F> {
        tokio::time::timeout_at(deadline, future)
    }

    fn is_panic(error: &Self::JoinError) -> bool {
        error.is_panic()
    }

    fn thread_rng() -> Self::ThreadLocalRng {
        RaftRng(current())
    }

    fn oneshot<T: OptionalSend>() -> (Self::OneshotSender<T>, Self::OneshotReceiver<T>) {
        TokioRuntime::oneshot()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng as _;

    #[tokio::test]
    async fn spawned_tasks_draw_from_the_same_generator() {
        let draw = || async {
            let first = ControlRuntime::thread_rng().r#gen::<u64>();
            let second =
                ControlRuntime::spawn(async { ControlRuntime::thread_rng().r#gen::<u64>() }).await.unwrap();
            (first, second)
        };
        let once = with_rng(Arc::new(SeededRng::new(5)), draw()).await;
        assert_eq!(with_rng(Arc::new(SeededRng::new(5)), draw()).await, once);
        assert_ne!(with_rng(Arc::new(SeededRng::new(6)), draw()).await, once);
        assert_ne!(once.0, once.1);
    }
}
