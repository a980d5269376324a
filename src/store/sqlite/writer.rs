//! The one thread that writes, with group commit: all jobs that wait are run in one transaction and
//! answered after its one sync, so that a thousand callers share a few syncs.
//!
//! The one decision a reader would question: the sync depends on the batch. Losing the newest lease
//! or a deletion at a power cut costs a poke too many at worst, so a batch of only such jobs is
//! committed without a sync; any later sync of the log covers it. A killed process loses neither.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::oneshot;

use crate::store::{Result, StoreError};

/// Jobs that may wait. Callers give up after seconds; more than this cannot be served by then.
const QUEUE: usize = 16_384;
/// Jobs in one transaction: bounds how long the first one waits for the others.
const BATCH: usize = 1_024;

/// What a returned write survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// A power cut: it is on disk.
    Synced,
    /// The end of the process.
    Written,
}

/// What is undone of work that fails, while the rest of its transaction goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Undo {
    /// All of it. Costs a savepoint, for which each page that the work changes is copied.
    Work,
    /// The statement that failed.
    Statement,
}

/// Tells the caller how it ended, once the transaction has: committed, or why not.
type Answer = Box<dyn FnOnce(Result<()>) + Send>;

struct Job {
    durability: Durability,
    run: Box<dyn FnOnce(&Connection) -> Answer + Send>,
}

#[derive(Debug, Default)]
struct Progress {
    commits: AtomicU64,
    failing: AtomicBool,
}

/// The handle of the thread. Dropping it waits for the jobs that were taken.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    progress: Arc<Progress>,
}

impl Writer {
    /// Starts the thread; `guard` lives as long as it does.
    pub(super) fn start(db: Connection, guard: impl Send + 'static) -> std::io::Result<Self> {
        let (jobs, queue) = channel(QUEUE);
        let progress = Arc::new(Progress::default());
        let shared = Arc::clone(&progress);
        let thread = std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || {
            write_batches(&db, queue, &shared);
            drop(db);
            drop(guard);
        })?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread), progress })
    }

    /// Runs the work in the next transaction and returns when that is committed.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        durability: Durability,
        undo: Undo,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let run = move |db: &Connection| -> Answer {
            let result = match undo {
                Undo::Work => in_savepoint(db, work),
                Undo::Statement => work(db),
            };
            // The caller may have given up; then nobody wants the answer.
            Box::new(move |committed| drop(reply.send(result.and_then(|value| committed.map(|()| value)))))
        };
        let jobs = self.jobs.as_ref().ok_or_else(stopped)?;
        jobs.try_send(Job { durability, run: Box::new(run) }).map_err(|refused| match refused {
            TrySendError::Full(_) => StoreError::Unavailable(format!("{QUEUE} writes are waiting already")),
            TrySendError::Closed(_) => stopped(),
        })?;
        // A job that could not even begin is dropped unanswered.
        answer.await.map_err(|_| StoreError::Unavailable("no transaction could be begun".to_owned()))?
    }

    /// Transactions committed so far.
    pub(super) fn commits(&self) -> u64 {
        self.progress.commits.load(Ordering::Relaxed)
    }

    /// Whether the latest transaction could not be committed.
    pub(super) fn is_failing(&self) -> bool {
        self.progress.failing.load(Ordering::Relaxed)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // A panic in it was reported when it happened.
            drop(thread.join());
        }
    }
}

fn stopped() -> StoreError {
    StoreError::Unavailable("the writer has stopped".to_owned())
}

fn write_batches(db: &Connection, mut queue: Receiver<Job>, progress: &Progress) {
    let (mut mode, mut batch) = (None, Vec::new());
    while queue.blocking_recv_many(&mut batch, BATCH) > 0 {
        let synced = batch.iter().any(|job| job.durability == Durability::Synced);
        let wanted = if synced { Durability::Synced } else { Durability::Written };
        if mode != Some(wanted) {
            mode = set_durability(db, wanted).ok().map(|()| wanted);
        }
        let committed = match mode {
            Some(_) => write_batch(db, batch.drain(..)),
            None => Err(StoreError::Unavailable("the sync mode cannot be set".to_owned())),
        };
        batch.clear();
        match committed {
            Ok(()) => {
                progress.commits.fetch_add(1, Ordering::Relaxed);
                if progress.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!("the store can be written again");
                }
            }
            Err(error) => {
                if !progress.failing.swap(true, Ordering::Relaxed) {
                    tracing::error!(%error, "the store cannot be written");
                }
            }
        }
    }
}

fn set_durability(db: &Connection, durability: Durability) -> Result<()> {
    let mode = match durability {
        Durability::Synced => "FULL",
        Durability::Written => "NORMAL",
    };
    Ok(db.pragma_update(None, "synchronous", mode)?)
}

/// Runs the jobs in one transaction and answers them; the error is that of the transaction.
fn write_batch(db: &Connection, batch: impl ExactSizeIterator<Item = Job>) -> Result<()> {
    let mut answers: Vec<Answer> = Vec::with_capacity(batch.len());
    let mut lost = Ok(());
    let mut begun = execute(db, "BEGIN");
    for job in batch {
        if begun.is_ok() {
            answers.push((job.run)(db));
        }
        // A full disk and I/O errors end the whole transaction, not the statement alone.
        if begun.is_ok() && db.is_autocommit() {
            lost = Err(StoreError::Unavailable("the transaction was rolled back: disk full or failing".to_owned()));
            answer_all(&mut answers, &lost);
            begun = execute(db, "BEGIN");
        }
    }
    let committed = begun.and_then(|()| commit(db));
    answer_all(&mut answers, &committed);
    committed.and(lost)
}

fn answer_all(answers: &mut Vec<Answer>, committed: &Result<()>) {
    for answer in answers.drain(..) {
        answer(committed.clone());
    }
}

fn commit(db: &Connection) -> Result<()> {
    let committed = execute(db, "COMMIT");
    if committed.is_err() && !db.is_autocommit() {
        execute(db, "ROLLBACK")?;
    }
    committed
}

fn in_savepoint<T>(db: &Connection, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
    execute(db, "SAVEPOINT job")?;
    let result = work(db).and_then(|value| execute(db, "RELEASE job").map(|()| value));
    if result.is_err() && !db.is_autocommit() {
        execute(db, "ROLLBACK TO job")?;
        execute(db, "RELEASE job")?;
    }
    result
}

fn execute(db: &Connection, sql: &str) -> Result<()> {
    db.prepare_cached(sql)?.execute(())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    fn database(dir: &std::path::Path) -> Connection {
        let db = Connection::open(dir.join("test.db")).unwrap();
        db.pragma_update(None, "journal_mode", "WAL").unwrap();
        db.execute_batch("CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL)").unwrap();
        db
    }

    fn insert(db: &Connection, id: i64, text: &str) -> Result<()> {
        db.execute("INSERT INTO note VALUES (?, ?)", (id, text))?;
        Ok(())
    }

    type Pending<'a> = std::pin::Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

    /// Lets all jobs gather behind one that keeps the writer busy; then returns their results.
    async fn together(writer: &Writer, jobs: Vec<Pending<'_>>) -> Vec<Result<()>> {
        let (go, wait) = channel::<()>();
        let hold_up = move |_: &Connection| wait.recv().map_err(|error| StoreError::Unavailable(error.to_string()));
        let mut all: Vec<Pending<'_>> = vec![Box::pin(writer.write(Durability::Written, Undo::Work, hold_up))];
        all.extend(jobs);
        for job in &mut all {
            assert!(futures::poll!(job).is_pending());
        }
        go.send(()).unwrap();
        futures::future::join_all(all).await.split_off(1)
    }

    #[tokio::test]
    async fn waiting_jobs_share_a_commit_and_a_failing_one_fails_alone() {
        let dir = tempfile::tempdir().unwrap();
        let writer = Writer::start(database(dir.path()), ()).unwrap();
        let jobs = (0..1_000).map(|n| -> Pending<'_> {
            let id = if n == 500 { 0 } else { n };
            Box::pin(writer.write(Durability::Synced, Undo::Work, move |db| {
                insert(db, 10_000 + n, "before")?;
                insert(db, id, "x")
            }))
        });
        let results = together(&writer, jobs.collect()).await;
        let failed: Vec<_> = (0..1_000).filter(|&n| results[n].is_err()).collect();
        assert_eq!(failed, [500]);
        assert!(writer.commits() <= 2, "those that came while the first was taken, and all others");
        drop(writer);
        let db = Connection::open(dir.path().join("test.db")).unwrap();
        let count: i64 = db.query_row("SELECT count(*) FROM note", (), |row| row.get(0)).unwrap();
        assert_eq!(count, 999 * 2, "the failed job left nothing behind");
    }

    #[tokio::test]
    async fn of_work_whose_statements_may_stand_alone_the_failed_one_is_undone() {
        let dir = tempfile::tempdir().unwrap();
        let writer = Writer::start(database(dir.path()), ()).unwrap();
        let half = |db: &Connection| {
            insert(db, 1, "stays")?;
            db.execute("INSERT INTO note VALUES (2, 'goes'), (1, 'again')", ())?;
            Ok(())
        };
        let jobs: Vec<Pending<'_>> = vec![
            Box::pin(writer.write(Durability::Synced, Undo::Statement, half)),
            Box::pin(writer.write(Durability::Synced, Undo::Statement, |db| insert(db, 3, "after"))),
        ];
        let results = together(&writer, jobs).await;
        assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [false, true]);
        let ids = writer.write(Durability::Written, Undo::Work, |db| {
            Ok(db.query_row("SELECT group_concat(id) FROM note", (), |row| row.get::<_, String>(0))?)
        });
        assert_eq!(ids.await.unwrap(), "1,3");
    }

    #[tokio::test]
    async fn a_full_disk_fails_what_was_lost_and_recovers() {
        for undo in [Undo::Work, Undo::Statement] {
            fill_the_disk(undo).await;
        }
    }

    async fn fill_the_disk(undo: Undo) {
        let dir = tempfile::tempdir().unwrap();
        let writer = Writer::start(database(dir.path()), ()).unwrap();
        let pages = |limit: i64| {
            writer.write(Durability::Written, Undo::Work, move |db| {
                Ok(db.pragma_update_and_check(None, "max_page_count", limit, |_| Ok(()))?)
            })
        };
        pages(10).await.unwrap();
        let big = "x".repeat(50_000);
        let (small, full) = futures::join!(
            writer.write(Durability::Synced, undo, |db| insert(db, 1, "small")),
            writer.write(Durability::Synced, undo, move |db| insert(db, 2, &big)),
        );
        assert!(matches!(&full, Err(StoreError::Unavailable(text)) if text.contains("full")), "{full:?}");
        let stored = small.is_ok();
        let count = |id: i64| {
            writer.write(Durability::Written, Undo::Work, move |db| {
                Ok(db.query_row("SELECT count(*) FROM note WHERE id = ?", [id], |row| row.get::<_, i64>(0))?)
            })
        };
        assert_eq!(count(1).await.unwrap(), i64::from(stored), "what was answered is what is there");
        assert_eq!(count(2).await.unwrap(), 0);
        pages(10_000).await.unwrap();
        let big = "x".repeat(50_000);
        writer.write(Durability::Synced, undo, move |db| insert(db, 2, &big)).await.unwrap();
        assert!(!writer.is_failing());
    }

    #[tokio::test]
    async fn a_transaction_that_is_lost_midway_spares_the_rest_of_the_batch() {
        for undo in [Undo::Work, Undo::Statement] {
            lose_a_transaction(undo).await;
        }
    }

    async fn lose_a_transaction(undo: Undo) {
        let dir = tempfile::tempdir().unwrap();
        let writer = Writer::start(database(dir.path()), ()).unwrap();
        let lose = |db: &Connection| {
            db.execute_batch("ROLLBACK")?;
            Err::<(), _>(StoreError::Unavailable("mine".to_owned()))
        };
        let jobs: Vec<Pending<'_>> = vec![
            Box::pin(writer.write(Durability::Synced, undo, |db| insert(db, 1, "before"))),
            Box::pin(writer.write(Durability::Synced, undo, lose)),
            Box::pin(writer.write(Durability::Synced, undo, |db| insert(db, 3, "after"))),
        ];
        let results = together(&writer, jobs).await;
        assert_eq!(results[1], Err(StoreError::Unavailable("mine".to_owned())));
        assert_eq!(results[2], Ok(()));
        let kept = if results[0].is_ok() { "1,3" } else { "3" };
        let ids = writer.write(Durability::Written, Undo::Work, |db| {
            Ok(db.query_row("SELECT group_concat(id) FROM note", (), |row| row.get::<_, String>(0))?)
        });
        assert_eq!(ids.await.unwrap(), kept, "what was answered is what is there");
    }
}
