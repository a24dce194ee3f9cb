//! The environment abstraction layer (EAL): started once, it provides lcores and memory.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use dpdk_sys as sys;

use crate::errno::Errno;
use crate::release::{OtherRelease, Release};

/// The number of an lcore: a thread of EAL, pinned to a CPU. Its CPU may have another number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LcoreId(pub u32);

impl LcoreId {
    /// The largest number that DPDK has room for.
    pub const LAST: Self = Self(sys::RTE_MAX_LCORE - 1);
}

impl fmt::Display for LcoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why EAL did not start, or an lcore did not run.
#[derive(Debug, thiserror::Error)]
pub enum EalError {
    /// EAL can be started once per process.
    #[error("EAL was started already in this process")]
    StartedAlready,
    /// An argument holds a NUL byte.
    #[error("invalid EAL argument {0:?}: it holds a NUL byte, remove it")]
    BadArgument(String),
    /// The libraries are those of a DPDK with another ABI.
    #[error(transparent)]
    Release(OtherRelease),
    /// DPDK refused to start, and has printed why.
    #[error(
        "EAL did not start: {0}. DPDK's own messages are above; \
         `dpvsd --check` looks for the usual causes"
    )]
    Refused(Errno),
    /// EAL has no worker lcore of this number.
    #[error("cannot start work on lcore {0}: it is not one of EAL's worker lcores")]
    NoSuchLcore(LcoreId),
    /// The lcore did not take the work, usually because it is busy.
    #[error("cannot start work on lcore {lcore}: {why}")]
    Launch {
        /// The lcore.
        lcore: LcoreId,
        /// DPDK's reason.
        why: Errno,
    },
}

static STARTED: AtomicBool = AtomicBool::new(false);

/// The started EAL. It is never cleaned up: drivers of some NICs do not survive that.
#[derive(Debug)]
pub struct Eal(());

impl Eal {
    /// Starts EAL on the calling thread, which becomes the main lcore. The arguments are those of
    /// any DPDK program, with the program's name first.
    ///
    /// # Errors
    /// If it was started before, the libraries have another ABI than the headers, or DPDK refuses.
    pub fn init(args: &[String]) -> Result<Self, EalError> {
        if STARTED.swap(true, Ordering::SeqCst) {
            return Err(EalError::StartedAlready);
        }
        if let Err(other @ OtherRelease::OtherAbi { .. }) =
            Release::COMPILED.fits(Release::running())
        {
            return Err(EalError::Release(other));
        }
        let strings = args
            .iter()
            .map(|arg| CString::new(arg.as_str()).map_err(|_| EalError::BadArgument(arg.clone())))
            .collect::<Result<Vec<_>, _>>()?;
        // EAL reorders the array and keeps pointers to the strings, so neither is ever freed.
        let argv: Vec<*mut c_char> = strings.into_iter().map(CString::into_raw).collect();
        let argc = c_int::try_from(argv.len()).unwrap_or(c_int::MAX);
        // SAFETY: argv holds argc valid strings that are never freed, and so does the array.
        let parsed = unsafe { sys::rte_eal_init(argc, argv.leak().as_mut_ptr()) };
        if parsed < 0 {
            return Err(EalError::Refused(Errno::last()));
        }
        Ok(Self(()))
    }

    /// The lcores that take work: all but the main one.
    pub fn worker_lcores(&self) -> Vec<LcoreId> {
        let mut lcores = Vec::new();
        let mut lcore = u32::MAX;
        loop {
            // SAFETY: EAL is started; the function walks a table from any number on.
            lcore = unsafe { sys::rte_get_next_lcore(lcore, 1, 0) };
            if lcore >= sys::RTE_MAX_LCORE {
                return lcores;
            }
            lcores.push(LcoreId(lcore));
        }
    }

    /// The NUMA node of an lcore; 0 for a number that EAL has no lcore for.
    pub fn socket_of(&self, lcore: LcoreId) -> i32 {
        if lcore.0 >= sys::RTE_MAX_LCORE {
            return 0;
        }
        // SAFETY: EAL is started, and the number is within its table, which it does not check.
        i32::try_from(unsafe { sys::rte_lcore_to_socket_id(lcore.0) }).unwrap_or(0)
    }

    /// Runs `work` on a worker lcore. If it panics the process aborts: a director that has lost a
    /// worker must not look alive.
    ///
    /// # Errors
    /// If the lcore is busy or does not exist.
    pub fn launch(&self, lcore: LcoreId, work: Box<dyn FnOnce() + Send>) -> Result<(), EalError> {
        if !self.is_worker(lcore) {
            return Err(EalError::NoSuchLcore(lcore));
        }
        let arg = Box::into_raw(Box::new(work));
        // SAFETY: the lcore is one of EAL's, which it does not check; run_boxed takes the box back
        // exactly once, on the lcore.
        let failed = unsafe { sys::rte_eal_remote_launch(Some(run_boxed), arg.cast(), lcore.0) };
        if failed == 0 {
            return Ok(());
        }
        // SAFETY: the launch failed, so nobody else has the box.
        drop(unsafe { Box::from_raw(arg) });
        let why = Errno::from_result(failed);
        Err(EalError::Launch { lcore, why })
    }

    /// Waits until what was launched on an lcore has returned.
    pub fn wait(&self, lcore: LcoreId) {
        if self.is_worker(lcore) {
            // SAFETY: EAL is started and the number is one of its lcores.
            unsafe { sys::rte_eal_wait_lcore(lcore.0) };
        }
    }

    fn is_worker(&self, lcore: LcoreId) -> bool {
        self.worker_lcores().contains(&lcore)
    }
}

/// The release of DPDK that the process runs with, e.g. `DPDK 22.11.7`.
pub fn version() -> String {
    // SAFETY: the function returns a string that is never freed, before EAL has started too.
    let text = unsafe { CStr::from_ptr(sys::rte_version()) };
    text.to_string_lossy().into_owned()
}

extern "C" fn run_boxed(arg: *mut c_void) -> c_int {
    // SAFETY: launch made this box and handed it over.
    let work = unsafe { Box::from_raw(arg.cast::<Box<dyn FnOnce() + Send>>()) };
    if std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_err() {
        std::process::abort();
    }
    0
}
