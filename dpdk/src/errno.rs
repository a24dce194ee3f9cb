//! Error numbers of DPDK.

use std::ffi::CStr;
use std::fmt;

use dpdk_sys as sys;

/// An error number as DPDK returns it: an `errno` of the system, or one of DPDK's own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Errno(i32);

impl Errno {
    /// The error behind a return value. DPDK returns some numbers negative and some positive.
    pub(crate) const fn from_result(result: i32) -> Self {
        Self(result.abs())
    }

    /// The calling thread's `rte_errno`.
    pub(crate) fn last() -> Self {
        // SAFETY: reads a variable of this thread.
        Self(unsafe { sys::dpvs_errno() })
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: rte_strerror returns a valid string for any number, in a buffer of this thread.
        let text = unsafe { CStr::from_ptr(sys::rte_strerror(self.0)) };
        f.write_str(&text.to_string_lossy())
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Errno({}: {self})", self.0)
    }
}
