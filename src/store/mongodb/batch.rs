//! Concurrent callers share commands: what waits while one is in flight goes out together in the next.
//! A lone caller never waits for others.
//!
//! The one decision a reader would question: no timer gathers a batch. The commands in flight are few,
//! so batches grow exactly as far as the server is slow.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::connection::Limit;
use crate::lifecycle::Tasks;
use crate::store::{Result, StoreError};

/// Callers that may wait. They give up after two seconds; more cannot be served by then.
const QUEUE: usize = 16_384;

#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    /// Items of one command.
    pub batch: usize,
    /// Commands in flight.
    pub in_flight: usize,
}

/// Does the work of a batch: one result an item, in their order, or the failure of all.
type Work<T, R> = Box<dyn Fn(Vec<T>) -> BoxFuture<'static, Result<Vec<Result<R>>>> + Send + Sync>;

struct Waiting<T, R> {
    item: T,
    reply: oneshot::Sender<Result<R>>,
}

struct Queue<T, R> {
    waiting: VecDeque<Waiting<T, R>>,
    in_flight: usize,
}

struct Shared<T, R> {
    work: Work<T, R>,
    size: Size,
    queue: Mutex<Queue<T, R>>,
}

pub(super) struct Batcher<T, R> {
    shared: Arc<Shared<T, R>>,
    tasks: Tasks,
}

impl<T: Send + 'static, R: Send + 'static> Batcher<T, R> {
    pub(super) fn new<F>(tasks: &Tasks, size: Size, work: impl Fn(Vec<T>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Vec<Result<R>>>> + Send + 'static,
    {
        let queue = Mutex::new(Queue { waiting: VecDeque::new(), in_flight: 0 });
        let work: Work<T, R> = Box::new(move |items| Box::pin(work(items)));
        Self { shared: Arc::new(Shared { work, size, queue }), tasks: tasks.clone() }
    }

    /// Returns when the item's batch is done. A caller that gives up takes a waiting item back; one
    /// that is under way is finished without it.
    pub(super) async fn submit(&self, item: T) -> Result<R> {
        let (reply, answer) = oneshot::channel();
        if let Some(place) = self.enqueue(Waiting { item, reply })? {
            self.tasks.spawn(place.work());
        }
        match timeout(Limit::Callback.duration(), answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(StoreError::Unavailable("the batch ended without an answer".to_owned())),
            Err(_) => Err(StoreError::Unavailable("no answer from MongoDB in time".to_owned())),
        }
    }

    /// A place in flight, when one is free.
    fn enqueue(&self, waiting: Waiting<T, R>) -> Result<Option<Place<T, R>>> {
        let mut queue = self.shared.queue.lock();
        if queue.waiting.len() >= QUEUE {
            return Err(StoreError::Unavailable(format!("{QUEUE} operations are waiting already")));
        }
        queue.waiting.push_back(waiting);
        if queue.in_flight >= self.shared.size.in_flight {
            return Ok(None);
        }
        queue.in_flight += 1;
        Ok(Some(Place { shared: self.shared.clone(), given_back: false }))
    }
}

impl<T, R> fmt::Debug for Batcher<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queue = self.shared.queue.lock();
        f.debug_struct("Batcher")
            .field("waiting", &queue.waiting.len())
            .field("in_flight", &queue.in_flight)
            .finish_non_exhaustive()
    }
}

/// One of the places in flight; given back however the work ends.
struct Place<T, R> {
    shared: Arc<Shared<T, R>>,
    given_back: bool,
}

/// Items, and who waits for each.
type Batch<T, R> = (Vec<T>, Vec<oneshot::Sender<Result<R>>>);

impl<T, R> Place<T, R> {
    async fn work(mut self) {
        while let Some((items, replies)) = self.next() {
            match (self.shared.work)(items).await {
                Ok(results) => replies.into_iter().zip(results).for_each(|(reply, result)| drop(reply.send(result))),
                Err(error) => replies.into_iter().for_each(|reply| drop(reply.send(Err(error.clone())))),
            }
        }
    }

    /// `None`: nothing waits. The place is given back in the same step, so that whoever comes next
    /// finds either a place or somebody who will look again.
    fn next(&mut self) -> Option<Batch<T, R>> {
        let mut queue = self.shared.queue.lock();
        let (mut items, mut replies) = (Vec::new(), Vec::new());
        while items.len() < self.shared.size.batch
            && let Some(Waiting { item, reply }) = queue.waiting.pop_front()
        {
            if !reply.is_closed() {
                items.push(item);
                replies.push(reply);
            }
        }
        if items.is_empty() {
            queue.in_flight -= 1;
            self.given_back = true;
            return None;
        }
        Some((items, replies))
    }
}

impl<T, R> Drop for Place<T, R> {
    fn drop(&mut self) {
        if !self.given_back {
            self.shared.queue.lock().in_flight -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::*;

    /// Each batch waits for a permit, then answers each number with the batch's size.
    fn batcher(size: Size) -> (Batcher<usize, usize>, Arc<Semaphore>) {
        let gate = Arc::new(Semaphore::new(0));
        let open = gate.clone();
        let work = move |items: Vec<usize>| {
            let open = open.clone();
            async move {
                open.acquire().await.map_err(|error| StoreError::Unavailable(error.to_string()))?.forget();
                if items.contains(&13) {
                    return Err(StoreError::Unavailable("thirteen".to_owned()));
                }
                let refused = |item: &usize| StoreError::Unavailable(format!("{item} is refused"));
                Ok(items.iter().map(|item| if *item == 7 { Err(refused(item)) } else { Ok(items.len()) }).collect())
            }
        };
        (Batcher::new(&Tasks::new(), size, work), gate)
    }

    async fn settle() {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_goes_out_together_and_each_gets_its_own_answer() {
        let (batcher, gate) = batcher(Size { batch: 3, in_flight: 1 });
        let batcher = &batcher;
        let first = batcher.submit(0);
        let others = async {
            settle().await;
            let others = (4..9).map(|item| batcher.submit(item));
            let all = futures::future::join_all(others);
            let open = async {
                settle().await;
                gate.add_permits(3);
            };
            futures::join!(all, open).0
        };
        let (first, others) = futures::join!(first, others);
        assert_eq!(first, Ok(1), "a lone caller waits for nobody");
        assert_eq!(others[..3], [Ok(3), Ok(3), Ok(3)]);
        assert!(others[3].is_err(), "7 is refused alone");
        assert_eq!(others[4], Ok(2));
    }

    #[tokio::test(start_paused = true)]
    async fn the_failure_of_a_batch_is_that_of_all_and_the_next_one_works() {
        let (batcher, gate) = batcher(Size { batch: 2, in_flight: 1 });
        gate.add_permits(5);
        let failed = futures::join!(batcher.submit(13), batcher.submit(1));
        assert!(failed.0.is_err() && failed.1.is_err());
        assert_eq!(batcher.submit(2).await, Ok(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_gives_up_harms_nobody() {
        let (batcher, gate) = batcher(Size { batch: 9, in_flight: 1 });
        let first = batcher.submit(0);
        futures::pin_mut!(first);
        assert!(futures::poll!(&mut first).is_pending());
        settle().await;
        let mut given_up = Box::pin(batcher.submit(13));
        assert!(futures::poll!(&mut given_up).is_pending());
        drop(given_up);
        gate.add_permits(2);
        assert_eq!(futures::join!(first, batcher.submit(2)), (Ok(1), Ok(1)), "13 went with its caller");
        assert!(batcher.submit(3).await.is_err(), "an answer is waited for as long as a callback may");
        gate.add_permits(2);
        assert_eq!(batcher.submit(4).await, Ok(1));
    }
}
