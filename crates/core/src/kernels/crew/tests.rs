use super::{Crew, for_each_chunk, for_each_task, together};
use proptest::prelude::*;
use rayon::ThreadPoolBuilder;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::Duration;

fn with_threads<R: Send>(threads: usize, body: impl FnOnce(&Crew<'_>) -> R + Send) -> R {
    ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| together(body))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_task_is_done_once(threads in 1..6usize, jobs in prop::collection::vec(0..40usize, 1..30)) {
        with_threads(threads, |crew| {
            assert_eq!(crew.threads(), threads);
            for tasks in jobs {
                let done: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
                for_each_task(Some(crew), tasks, |task| _ = done[task].fetch_add(1, Ordering::Relaxed));
                assert!(done.iter().all(|times| times.load(Ordering::Relaxed) == 1));
            }
        });
    }

    #[test]
    fn chunks_are_those_of_the_slice(threads in 1..6usize, count in 0..200usize, size in 1..50usize) {
        let mut values = vec![-1.0; count];
        with_threads(threads, |crew| {
            for_each_chunk(Some(crew), &mut values, size, |chunk, values| values.fill(chunk as f32));
        });
        let expected: Vec<f32> = (0..count).map(|at| (at / size) as f32).collect();
        prop_assert_eq!(values, expected);
    }
}

#[test]
fn without_a_crew_tasks_run_in_turn() {
    let order = Mutex::new(Vec::new());
    for_each_task(None, 5, |task| order.lock().unwrap().push(task));
    assert_eq!(order.into_inner().unwrap(), [0, 1, 2, 3, 4]);
}

#[test]
fn all_threads_work_side_by_side() {
    // Each task waits for the others: without four threads within at once, the test would never end.
    let barrier = Barrier::new(4);
    with_threads(4, |crew| {
        for _ in 0..100 {
            for_each_task(Some(crew), 4, |_| _ = barrier.wait());
        }
    });
}

#[test]
fn a_job_sees_what_the_one_before_it_wrote() {
    // Plain values, written by whichever thread, read by another one.
    let mut values = vec![0.0f32; 64];
    let mut other = vec![0.0f32; 64];
    with_threads(3, |crew| {
        for round in 0..20_000 {
            let last = other.len() - 1;
            for_each_chunk(Some(crew), &mut values, 16, |chunk, to| {
                for (at, to) in to.iter_mut().enumerate() {
                    *to = other[last - (chunk * 16 + at)] + 1.0;
                }
            });
            std::mem::swap(&mut values, &mut other);
            assert!(other.iter().all(|value| *value == (round + 1) as f32));
        }
    });
}

#[test]
fn threads_that_are_busy_are_not_waited_for() {
    let pool = ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    let (begun, end) = (Barrier::new(2), Barrier::new(2));
    thread::scope(|scope| {
        scope.spawn(|| {
            pool.install(|| {
                begun.wait();
                end.wait();
            });
        });
        begun.wait();
        let done = AtomicUsize::new(0);
        pool.install(|| {
            together(|crew| for_each_task(Some(crew), 10, |_| _ = done.fetch_add(1, Ordering::Relaxed)))
        });
        assert_eq!(done.into_inner(), 10);
        end.wait();
    });
}

#[test]
fn two_crews_share_a_pool() {
    let pool = ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    let done = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..200 {
                    pool.install(|| {
                        together(|crew| {
                            for _ in 0..10 {
                                for_each_task(Some(crew), 7, |_| _ = done.fetch_add(1, Ordering::Relaxed));
                            }
                        });
                    });
                }
            });
        }
    });
    assert_eq!(done.into_inner(), 3 * 200 * 10 * 7);
}

#[test]
fn helpers_that_waited_long_still_help() {
    let barrier = Barrier::new(2);
    with_threads(2, |crew| {
        thread::sleep(Duration::from_millis(50));
        for_each_task(Some(crew), 2, |_| _ = barrier.wait());
    });
}

#[test]
fn a_panic_of_any_task_is_handed_on_and_harms_no_later_crew() {
    let pool = ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    // The leader's own task, and a helper's.
    for failing in [0, 1] {
        let barrier = Barrier::new(2);
        let failed = catch_unwind(AssertUnwindSafe(|| {
            pool.install(|| {
                together(|crew| {
                    for_each_task(Some(crew), 2, |task| {
                        barrier.wait();
                        assert!(task != failing, "task {task}");
                    });
                });
            });
        }));
        let said = failed.unwrap_err().downcast::<String>().unwrap();
        assert_eq!(*said, format!("task {failing}"));
        let done = AtomicUsize::new(0);
        pool.install(|| {
            together(|crew| for_each_task(Some(crew), 9, |_| _ = done.fetch_add(1, Ordering::Relaxed)))
        });
        assert_eq!(done.into_inner(), 9);
    }
}
