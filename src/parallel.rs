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

use crate::error::Error;
use crate::memory;
use crate::rounding::Standard;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
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

/// A pool of at least `threads` threads; of fewer, or none, where the system does not give that many.
fn pool(threads: usize) -> Option<Arc<ThreadPool>> {
    let mut slot = process().pool.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(pool) = slot.as_ref()
        && pool.current_num_threads() >= threads
    {
        return Some(Arc::clone(pool));
    }
    let least = slot.as_ref().map_or(0, |pool| pool.current_num_threads());
    let mut wanted = threads;
    while wanted > least {
        let builder = ThreadPoolBuilder::new().num_threads(wanted).thread_name(|i| format!("planish-{i}"));
        if let Ok(pool) = builder.build() {
            *slot = Some(Arc::new(pool));
            break;
        }
        wanted /= 2;
    }
    slot.clone()
}

/// Call `work` for each of `count` tasks on up to `threads` threads; `worker` makes what a thread keeps between tasks.
/// Results are in the order of the tasks; of several errors the first in that order counts. No task is begun after one.
pub fn map<W, R: Send, E: From<Error> + Send>(
    count: usize,
    threads: usize,
    worker: impl Fn() -> W + Sync,
    work: impl Fn(&mut W, usize) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let work = &work;
    map_any(count, threads, &|| {
        let mut own = worker();
        Box::new(move |task| work(&mut own, task))
    })
}

/// What a thread does with each task.
type Work<'w, R, E> = Box<dyn FnMut(usize) -> Result<R, E> + 'w>;

/// What [`map`] is compiled to: once for each kind of result, whatever the work.
fn map_any<'w, R: Send, E: From<Error> + Send>(
    count: usize,
    threads: usize,
    worker: &(dyn Fn() -> Work<'w, R, E> + Sync),
) -> Result<Vec<R>, E> {
    let mut results: Vec<Mutex<Option<Result<R, E>>>> = memory::with_room(count)?;
    results.resize_with(count, || Mutex::new(None));
    let slots = &results;
    let worker = || -> Box<dyn FnMut(usize) -> bool + '_> {
        let mut work = worker();
        Box::new(move |task| {
            let Some(slot) = slots.get(task) else { return false };
            let result = work(task);
            let done = result.is_ok();
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            done
        })
    };
    each(count, threads, &worker);
    let mut values = memory::with_room(count)?;
    for slot in results {
        // Tasks are begun in order: what was not begun comes after an error.
        let Some(result) = slot.into_inner().unwrap_or_else(PoisonError::into_inner) else { break };
        values.push(result?);
    }
    Ok(values)
}

/// Have the workers, which `worker` makes, do each of `count` tasks on up to `threads` threads, until one returns `false`.
fn each<'w>(count: usize, threads: usize, worker: &(dyn Fn() -> Box<dyn FnMut(usize) -> bool + 'w> + Sync)) {
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let take_tasks = || {
        let _standard = Standard::enter();
        let mut own = None;
        while !failed.load(Ordering::Relaxed) {
            let task = next.fetch_add(1, Ordering::Relaxed);
            if task >= count {
                break;
            }
            let done = own.get_or_insert_with(worker)(task);
            failed.fetch_or(!done, Ordering::Relaxed);
        }
    };
    on_threads(threads.min(count), &take_tasks);
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
/// keeps between them. Results are in the order of the items, and errors as those of [`map`].
pub fn map_items<I: Send, W, R: Send, E: From<Error> + Send>(
    items: Vec<I>,
    group: usize,
    threads: usize,
    worker: impl Fn() -> W + Sync,
    work: impl Fn(&mut W, I) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    map_any_items(items, group, threads, &worker, &work)
}

/// What [`map_items`] is compiled to.
fn map_any_items<I: Send, W, R: Send, E: From<Error> + Send>(
    items: Vec<I>,
    group: usize,
    threads: usize,
    worker: &(dyn Fn() -> W + Sync),
    work: &(dyn Fn(&mut W, I) -> Result<R, E> + Sync),
) -> Result<Vec<R>, E> {
    let count = items.len();
    let mut items = items.into_iter();
    let mut groups = memory::with_room(count.div_ceil(group))?;
    while items.len() > 0 {
        groups.push(Mutex::new(memory::collect(items.by_ref().take(group))?));
    }
    let results = map(groups.len(), threads, worker, |own, index| {
        let Some(group) = groups.get(index) else { return Ok(Vec::new()) };
        let group = std::mem::take(&mut *group.lock().unwrap_or_else(PoisonError::into_inner));
        memory::collect_all(group.into_iter().map(|item| work(own, item)))
    })?;
    let mut values = memory::with_room(count)?;
    results.into_iter().for_each(|mut results| values.append(&mut results));
    Ok(values)
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
                    Ok::<_, Error>(task * task)
                },
            );
            assert_eq!(squares, Ok((0..100).map(|task| task * task).collect()));
        }
        assert_eq!(map(0, 4, || (), |(), task| Ok::<_, Error>(task)), Ok(Vec::new()));
        assert_eq!(map_items((0..9).collect(), 2, 3, || (), |(), i| Ok::<_, Error>(i)), Ok((0..9).collect::<Vec<_>>()));
    }

    #[test]
    fn the_first_error_counts() {
        for threads in [1, 2, 8] {
            let work = |(): &mut (), task: usize| if task % 10 == 7 { Err((task, Error::Overflow)) } else { Ok(task) };
            assert_eq!(map(100, threads, || (), work), Err((7, Error::Overflow)));
            assert_eq!(map_items((0..100).collect(), 3, threads, || (), work), Err((7, Error::Overflow)));
        }
        let none = map(usize::MAX, 1, || (), |(), task| Ok::<_, Error>(task));
        assert!(matches!(none, Err(Error::OutOfMemory { .. })));
    }

    #[test]
    fn many_callers_share_the_pool() {
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        assert_eq!(map(20, 3, || (), |(), task| Ok::<_, Error>(task)), Ok((0..20).collect()));
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
