//! What a worker remembers of a service between two new conns.

use sapool::WorkerId;

use crate::config::Service;
use crate::state::limits::RateBucket;

/// What a worker remembers of a service between two new conns.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ServiceState {
    /// Where rr and wrr go on in the rotation.
    pub(crate) next_dest: u32,
    /// Where the round robin of local addresses goes on.
    pub(crate) next_laddr: u32,
    /// How many new conns it may have yet.
    pub(crate) rate: RateBucket,
    /// How many SYNs it may have until its SYN proxy switches itself on.
    pub(crate) syn_rate: RateBucket,
    /// A dest of its does without timestamps: its SYN proxy does, too.
    pub(crate) is_without_timestamps: bool,
}

impl ServiceState {
    /// The turn of a worker that has seen nothing of the service yet. Workers begin at different
    /// dests, so that the first conns of all workers do not meet at one.
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

/// What a worker remembers of a service.
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

/// Once per service: room for all that control may number.
#[cold]
#[inline(never)]
fn make_room(states: &mut Vec<ServiceState>, at: usize, worker: WorkerId) {
    states.resize(
        (at + 1).next_power_of_two(),
        ServiceState::of_worker(worker),
    );
}
