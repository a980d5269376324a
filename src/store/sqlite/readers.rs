//! A few threads that read, each with a connection. Reading never waits for the writer, nor the writer
//! for it: that is what the write-ahead log is for.
//!
//! The one decision a reader would question: not the runtime's blocking threads. Names of bots are
//! resolved there, and hundreds of names that hang would keep every look-up waiting.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::store::{Result, StoreError};

type Job = Box<dyn FnOnce(&Connection) + Send>;

/// The handle of the threads. Dropping it waits for the reads that were begun.
#[derive(Debug)]
pub(super) struct Readers {
    jobs: Option<Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    /// Starts a thread for each connection.
    pub(super) fn start(connections: Vec<Connection>) -> std::io::Result<Self> {
        let (jobs, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        let threads = connections.into_iter().map(|connection| {
            let queue = Arc::clone(&queue);
            std::thread::Builder::new().name("store-reader".to_owned()).spawn(move || serve(&connection, &queue))
        });
        Ok(Self { threads: threads.collect::<Result<_, _>>()?, jobs: Some(jobs) })
    }

    /// Runs the work on the next idle connection; a caller that gives up changes nothing.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let gone = || StoreError::Unavailable("no connection is left for reading".to_owned());
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |connection| drop(reply.send(work(connection))));
        self.jobs.as_ref().ok_or_else(gone)?.send(job).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        drop(self.jobs.take());
        for thread in self.threads.drain(..) {
            // A panic in it was reported when it happened.
            drop(thread.join());
        }
    }
}

/// One thread waits at the queue, the others for its place.
fn serve(connection: &Connection, queue: &Mutex<Receiver<Job>>) {
    loop {
        let next = queue.lock().recv();
        match next {
            Ok(job) => job(connection),
            Err(_) => return,
        }
    }
}
