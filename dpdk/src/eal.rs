//! The environment abstraction layer: started once, it gives lcores and memory.

use std::ffi::{CString, c_char, c_int, c_void};
use std::sync::atomic::{AtomicBool, Ordering};

use dpdk_sys as sys;

use crate::strerror;

/// Why EAL did not start, or an lcore did not run.
#[derive(Debug, thiserror::Error)]
pub enum EalError {
    /// It can be started once per process.
    #[error("EAL was started already in this process")]
    StartedAlready,
    /// An argument holds a NUL byte.
    #[error("the EAL argument {0:?} holds a NUL byte")]
    BadArgument(String),
    /// DPDK said no; it has printed why.
    #[error(
        "EAL did not start: {0}. DPDK's own messages are above; `dpvsd --check` looks for the usual causes"
    )]
    Refused(String),
    /// The lcore runs something already, or does not exist.
    #[error("lcore {lcore} does not take work: {why}")]
    Launch {
        /// Which
        lcore: u32,
        /// DPDK's reason
        why: String,
    },
}

static STARTED: AtomicBool = AtomicBool::new(false);

/// The started EAL. Ends with the process: drivers of some NICs do not survive a clean-up.
#[derive(Debug)]
pub struct Eal(());

impl Eal {
    /// Starts EAL on the calling thread, which becomes the main lcore, with arguments as a DPDK
    /// program takes them, program name first.
    ///
    /// # Errors
    /// If it was started before, or DPDK refuses.
    pub fn init(args: &[String]) -> Result<Self, EalError> {
        if STARTED.swap(true, Ordering::SeqCst) {
            return Err(EalError::StartedAlready);
        }
        let strings = args
            .iter()
            .map(|arg| CString::new(arg.as_str()).map_err(|_| EalError::BadArgument(arg.clone())))
            .collect::<Result<Vec<_>, _>>()?;
        // EAL permutes the array and keeps pointers to the strings: both live on.
        let argv: Vec<*mut c_char> = strings.into_iter().map(CString::into_raw).collect();
        let argc = c_int::try_from(argv.len()).unwrap_or(c_int::MAX);
        // SAFETY: argv holds argc valid strings that are never freed, and so does the array.
        let parsed = unsafe { sys::rte_eal_init(argc, argv.leak().as_mut_ptr()) };
        if parsed < 0 {
            // SAFETY: reads a variable of this thread.
            return Err(EalError::Refused(strerror(unsafe { sys::dpvs_errno() })));
        }
        Ok(Self(()))
    }

    /// The lcores that take work: all but the main one.
    pub fn worker_lcores(&self) -> Vec<u32> {
        let mut lcores = Vec::new();
        let mut lcore = u32::MAX;
        loop {
            // SAFETY: EAL is started; the function walks a table from any number on.
            lcore = unsafe { sys::rte_get_next_lcore(lcore, 1, 0) };
            if lcore >= sys::RTE_MAX_LCORE {
                return lcores;
            }
            lcores.push(lcore);
        }
    }

    /// The NUMA node of an lcore; 0 for a number that cannot be one.
    pub fn socket_of(&self, lcore: u32) -> i32 {
        if lcore >= sys::RTE_MAX_LCORE {
            return 0;
        }
        // SAFETY: EAL is started, and the number is within its table, which it does not check.
        i32::try_from(unsafe { sys::rte_lcore_to_socket_id(lcore) }).unwrap_or(0)
    }

    /// Runs `work` on a worker lcore. If it panics the process aborts: a director that has lost a
    /// worker must not look alive.
    ///
    /// # Errors
    /// If the lcore is busy or does not exist.
    pub fn launch(&self, lcore: u32, work: Box<dyn FnOnce() + Send>) -> Result<(), EalError> {
        if !self.is_worker(lcore) {
            return Err(EalError::Launch {
                lcore,
                why: "it is not one of EAL's worker lcores".to_owned(),
            });
        }
        let arg = Box::into_raw(Box::new(work));
        // SAFETY: the lcore is one of EAL's, which it does not check; run_boxed takes the box back
        // exactly once, on the lcore.
        let failed = unsafe { sys::rte_eal_remote_launch(Some(run_boxed), arg.cast(), lcore) };
        if failed == 0 {
            return Ok(());
        }
        // SAFETY: the launch failed, so nobody else has the box.
        drop(unsafe { Box::from_raw(arg) });
        Err(EalError::Launch {
            lcore,
            why: strerror(failed),
        })
    }

    /// Waits until what was launched on an lcore has returned.
    pub fn wait(&self, lcore: u32) {
        if self.is_worker(lcore) {
            // SAFETY: EAL is started and the number is one of its lcores.
            unsafe { sys::rte_eal_wait_lcore(lcore) };
        }
    }

    fn is_worker(&self, lcore: u32) -> bool {
        self.worker_lcores().contains(&lcore)
    }
}

extern "C" fn run_boxed(arg: *mut c_void) -> c_int {
    // SAFETY: launch made this box and handed it over.
    let work = unsafe { Box::from_raw(arg.cast::<Box<dyn FnOnce() + Send>>()) };
    if std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_err() {
        std::process::abort();
    }
    0
}

/// Counts of the time stamp counter per second.
pub fn tsc_hz() -> u64 {
    // SAFETY: reads a variable that EAL has set.
    unsafe { sys::rte_get_tsc_hz() }
}

/// The time stamp counter.
#[inline]
pub fn rdtsc() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: RDTSC is part of x86-64 and has no operand.
    unsafe {
        core::arch::x86_64::_rdtsc()
    }
    #[cfg(not(target_arch = "x86_64"))]
    compile_error!("only x86-64 for now: the time stamp counter is read directly");
}
