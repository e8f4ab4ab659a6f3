//! Threads: how many, and a pool that survives `fork`.
//!
//! The pool is our own (rayon's global one is not an extension's to use) and holds one thread fewer than a call uses:
//! the calling thread works too, so that callers never wait for each other to start. Work comes as numbered tasks
//! that threads take one after the other; results are returned in the order of the tasks, never of the threads.
//!
//! After `fork` the child has only the thread that forked, while the pool's bookkeeping says otherwise and its locks
//! may be held by threads that are gone. So everything that a process knows about its threads hangs on one atomic
//! pointer, which a `pthread_atfork` handler clears in the child. The child then builds its own; the parent's part is
//! left alone, not freed, since freeing it could touch those locks. The process id is compared too, for processes made
//! by a bare `clone` that runs no handlers.

use rayon::{ThreadPool, ThreadPoolBuilder};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// What one process knows about its threads.
struct Process {
    id: u32,
    /// Threads that a call uses unless told otherwise.
    default: OnceLock<usize>,
    pool: Mutex<Option<Arc<ThreadPool>>>,
}

static PROCESS: AtomicPtr<Process> = AtomicPtr::new(std::ptr::null_mut());
/// What [`set_num_threads`] was given; zero where it was not called.
static CHOSEN: AtomicUsize = AtomicUsize::new(0);

#[cfg(unix)]
extern "C" fn forget_process() {
    PROCESS.store(std::ptr::null_mut(), Ordering::Release);
}

fn process() -> &'static Process {
    let id = std::process::id();
    let known = PROCESS.load(Ordering::Acquire);
    // SAFETY: the pointer is null or came from `Box::leak` below; what it points to is never freed.
    if let Some(process) = unsafe { known.as_ref() }
        && process.id == id
    {
        return process;
    }
    #[cfg(unix)]
    {
        static HANDLER: AtomicUsize = AtomicUsize::new(0);
        if HANDLER.swap(1, Ordering::AcqRel) == 0 {
            // SAFETY: the handler only stores to an atomic, which is allowed after fork.
            unsafe { libc::pthread_atfork(None, None, Some(forget_process)) };
        }
    }
    let fresh = Box::leak(Box::new(Process { id, default: OnceLock::new(), pool: Mutex::new(None) }));
    match PROCESS.compare_exchange(known, fresh, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => fresh,
        // Another thread was first. SAFETY: as above, and no longer null.
        Err(theirs) => unsafe { theirs.as_ref() }.unwrap_or(fresh),
    }
}

/// Set the number of threads for the whole process; zero takes the choice back.
pub fn set_num_threads(threads: usize) {
    CHOSEN.store(threads, Ordering::Relaxed);
}

/// Number of threads that a large call uses. In order: the `caller`'s choice (zero for none), the process's, the
/// environment (read once), one if `is_worker` says that this process is one of many, the CPUs that the process may use.
pub fn num_threads(caller: usize, is_worker: impl FnOnce() -> bool) -> usize {
    let chosen = match caller {
        0 => CHOSEN.load(Ordering::Relaxed),
        caller => caller,
    };
    if chosen != 0 {
        return chosen;
    }
    *process().default.get_or_init(|| {
        let variable = ["PLANISH_NUM_THREADS", "RAYON_NUM_THREADS", "OMP_NUM_THREADS"]
            .iter()
            .find_map(|name| parse_threads(&std::env::var(name).ok()?));
        match variable {
            Some(threads) => threads,
            None if is_worker() => 1,
            None => std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
        }
    })
}

/// A thread count as the environment gives it: the first of a comma-separated list (OpenMP's nesting levels). Zero
/// and what is no number count as not set.
fn parse_threads(text: &str) -> Option<usize> {
    text.split(',').next()?.trim().parse().ok().filter(|threads| *threads > 0)
}

/// A pool of at least `threads` threads, or none where the system does not give that many.
fn pool(threads: usize) -> Option<Arc<ThreadPool>> {
    let mut slot = process().pool.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(pool) = slot.as_ref()
        && pool.current_num_threads() >= threads
    {
        return Some(Arc::clone(pool));
    }
    let builder = ThreadPoolBuilder::new().num_threads(threads).thread_name(|i| format!("planish-{i}"));
    let pool = Arc::new(builder.build().ok()?);
    *slot = Some(Arc::clone(&pool));
    Some(pool)
}

/// Call `work` for each of `count` tasks on up to `threads` threads; `worker` makes what a thread keeps between tasks.
/// Results are in the order of the tasks.
pub fn map<W, R: Send>(
    count: usize,
    threads: usize,
    worker: impl Fn() -> W + Sync,
    work: impl Fn(&mut W, usize) -> R + Sync,
) -> Vec<R> {
    let results: Vec<Mutex<Option<R>>> = (0..count).map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    let take_tasks = || {
        let mut own = None;
        loop {
            let task = next.fetch_add(1, Ordering::Relaxed);
            let Some(slot) = results.get(task) else { break };
            let result = work(own.get_or_insert_with(&worker), task);
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        }
    };
    on_threads(threads.min(count), &take_tasks);
    results.into_iter().filter_map(|slot| slot.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
}

/// Call `take_tasks` on up to `threads` threads at once, this one among them, until all have returned.
fn on_threads(threads: usize, take_tasks: &(dyn Fn() + Sync)) {
    let helpers = threads.saturating_sub(1);
    if helpers > 0
        && let Some(pool) = pool(helpers)
    {
        pool.in_place_scope(|scope| {
            for _ in 0..helpers {
                scope.spawn(|_| take_tasks());
            }
            take_tasks();
        });
    } else {
        take_tasks();
    }
}

/// Call `work` for each of `items`, `group` of them at a time, on up to `threads` threads; `worker` makes what a thread
/// keeps between them. Results are in the order of the items.
pub fn map_items<I: Send, W, R: Send>(
    items: Vec<I>,
    group: usize,
    threads: usize,
    worker: impl Fn() -> W + Sync,
    work: impl Fn(&mut W, I) -> R + Sync,
) -> Vec<R> {
    let mut items = items.into_iter();
    let mut groups = Vec::new();
    while items.len() > 0 {
        groups.push(Mutex::new(items.by_ref().take(group).collect::<Vec<_>>()));
    }
    let results = map(groups.len(), threads, worker, |own, index| {
        let group = std::mem::take(&mut *groups[index].lock().unwrap_or_else(PoisonError::into_inner));
        group.into_iter().map(|item| work(own, item)).collect::<Vec<_>>()
    });
    results.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_the_order_of_tasks() {
        for threads in [1, 2, 3, 8] {
            let squares = map(
                100,
                threads,
                || 0usize,
                |seen, task| {
                    *seen += 1;
                    task * task
                },
            );
            assert_eq!(squares, (0..100).map(|task| task * task).collect::<Vec<_>>());
        }
        assert!(map(0, 4, || (), |(), task| task).is_empty());
    }

    #[test]
    fn many_callers_share_the_pool() {
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        assert_eq!(map(20, 3, || (), |(), task| task).len(), 20);
                    }
                });
            }
        });
    }

    #[test]
    fn thread_counts() {
        assert_eq!(parse_threads(" 4,2"), Some(4));
        assert_eq!(parse_threads("0"), None);
        assert_eq!(parse_threads("many"), None);
        assert_eq!(num_threads(3, || false), 3);
    }
}
