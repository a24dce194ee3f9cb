//! The state of a service that a worker keeps from one new conn to the next.

use rss::WorkerId;

use crate::config::Service;
use crate::state::limits::RateBucket;

/// The state of a service that a worker keeps from one new conn to the next.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ServiceState {
    /// Where rr and wrr continue in the rotation.
    pub(crate) next_dest: u32,
    /// Where the round robin of local addresses continues.
    pub(crate) next_laddr: u32,
    /// The bucket for the limit of new conns per second.
    pub(crate) rate: RateBucket,
    /// The bucket of SYNs. When it is empty, the SYN proxy switches itself on.
    pub(crate) syn_rate: RateBucket,
    /// A dest of the service does not use TCP timestamps, so the SYN proxy does not offer them
    /// either.
    pub(crate) is_without_timestamps: bool,
}

impl ServiceState {
    /// The initial state. Each worker starts at another dest, so that the first conns of all
    /// workers do not go to the same dest.
    const fn of_worker(worker: WorkerId) -> Self {
        Self {
            next_dest: worker.0 as u32,
            next_laddr: worker.0 as u32,
            rate: RateBucket::NEW,
            syn_rate: RateBucket::NEW,
            is_without_timestamps: false,
        }
    }
}

/// This worker's state of a service.
#[inline]
pub(crate) fn service_state_of<'a>(
    states: &'a mut Vec<ServiceState>,
    service: &Service,
    worker: WorkerId,
) -> &'a mut ServiceState {
    let at = service.id.0 as usize;
    if at >= states.len() {
        make_room(states, at, worker);
    }
    &mut states[at]
}

/// Grows `states`. The size is rounded up to a power of two, so that this is rare.
#[cold]
#[inline(never)]
fn make_room(states: &mut Vec<ServiceState>, at: usize, worker: WorkerId) {
    states.resize(
        (at + 1).next_power_of_two(),
        ServiceState::of_worker(worker),
    );
}
