//! First fragments leave a note, by which the later ones find their conn.

use packet::PacketBuf;

use crate::ctx::Forwarder;
use crate::drop_reason::DropReason;
use crate::io::Io;
use crate::state::{FirstFragment, Whole};
use crate::wire::{Family, Flow, family};

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Notes a first fragment, for the later ones of its packet.
    #[cold]
    pub(crate) fn note_fragment(&mut self, packet: &mut B, flow: &Flow<A>) {
        if let Ok(ip) = A::check(packet) {
            self.family.has_fragments = true;
            let first = FirstFragment {
                tuple: flow.tuple,
                options_len: family::options_len(packet.bytes(), &ip),
                identification: self.shared.identifications.next(),
            };
            let now = self.shared.now.tick();
            self.family.fragments.note(now, Whole::of(&ip), first);
        }
    }

    /// No conn is known. A fragment for the director is dropped; the kernel may know the way of any
    /// other.
    pub(super) fn give_up_later_fragment(&self, packet: B, dst: A, io: &mut impl Io<B>) {
        if self.is_local(dst) {
            self.shared.drop(packet, DropReason::Fragment);
        } else {
            self.shared.to_kernel(packet, io);
        }
    }

    /// Whether an address is the director's.
    pub(super) fn is_local(&self, addr: A) -> bool {
        self.shared.snapshot.net.local_addr(addr.to_ip()).is_some()
    }
}
