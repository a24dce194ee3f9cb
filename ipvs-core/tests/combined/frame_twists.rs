//! What is unusual about a frame on its way to the director.

use packet::PortId;
use testkit::VecBuf;
use testkit::director::LAN_MAC;
use testkit::fragments::{cut, with_right_length};
use testkit::frames;

use super::scene::{Scene, Twist};

const L2_LEN: usize = 14;

fn is_v4(frame: &[u8]) -> bool {
    frame[12..14] == [8, 0]
}

/// The packets that arrive instead of a frame.
pub(super) fn twisted(scene: &Scene, port: PortId, frame: &[u8]) -> Vec<VecBuf> {
    let mut frame = frame.to_vec();
    let protocol = if is_v4(&frame) { frame[23] } else { frame[20] };
    if protocol == 17 {
        if scene.has(Twist::NoUdpChecksum) && is_v4(&frame) {
            frame[L2_LEN + 20 + 6..][..2].fill(0);
        }
        if scene.has(Twist::OctetsBehindUdp) {
            frame.extend([0xEE; 6]);
            frame = with_right_length(frame);
        }
    }
    if scene.has(Twist::OptionsOfIp) {
        frame = with_ip_options(&frame);
    }
    if scene.has(Twist::AtomicFragment) && !is_v4(&frame) {
        frame = as_atomic_fragment(frame);
    }
    if scene.has(Twist::LastHop) {
        let at = if is_v4(&frame) { 22 } else { 21 };
        frame[at] = 1;
        repair(&mut frame);
    }
    let is_atomic = scene.has(Twist::AtomicFragment) && !is_v4(&frame);
    let mut all = if scene.is_fragmented() && !is_atomic {
        cut(&frame, 56, number_of(&frame))
    } else {
        vec![frame]
    };
    if scene.has(Twist::FragmentsTwice) {
        all = all
            .iter()
            .flat_map(|one| [one.clone(), one.clone()])
            .collect();
    }
    if scene.has(Twist::FragmentsReversed) {
        all.reverse();
    }
    all.into_iter()
        .map(|frame| buffer(scene, port, frame))
        .collect()
}

fn buffer(scene: &Scene, port: PortId, mut frame: Vec<u8>) -> VecBuf {
    if scene.has(Twist::OneArm) {
        frame[..6].copy_from_slice(&LAN_MAC.0);
    }
    if scene.has(Twist::PriorityTag) {
        frame.splice(12..12, [0x81, 0, 0xa0, 0]);
    }
    if scene.has(Twist::PaddedFrames) {
        frame.extend([0xDD; 18]);
    }
    if scene.has(Twist::NoHeadroom) {
        VecBuf::without_headroom(port, &frame)
    } else {
        VecBuf::new(port, &frame)
    }
}

fn repair(frame: &mut [u8]) {
    if is_v4(frame) {
        frames::repair_ip(frame);
    }
}

/// Three NOPs and the end of options, or a destination options header of padding.
fn with_ip_options(frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    if is_v4(&frame) {
        frame.splice(L2_LEN + 20..L2_LEN + 20, [1, 1, 1, 0]);
        frame[L2_LEN] = 0x46;
    } else {
        let next = std::mem::replace(&mut frame[L2_LEN + 6], 60);
        frame.splice(L2_LEN + 40..L2_LEN + 40, [next, 0, 1, 4, 0, 0, 0, 0]);
    }
    with_right_length(frame)
}

/// A whole packet of IPv6 with a fragment header, as translators make them (RFC 6946, 2).
fn as_atomic_fragment(mut frame: Vec<u8>) -> Vec<u8> {
    let next = std::mem::replace(&mut frame[L2_LEN + 6], 44);
    frame.splice(L2_LEN + 40..L2_LEN + 40, [next, 0, 0, 0, 0, 0, 0x12, 0x67]);
    with_right_length(frame)
}

/// An identification that fragments of different packets seldom share.
fn number_of(frame: &[u8]) -> u16 {
    frame.iter().fold(4711, |sum: u16, octet| {
        sum.rotate_left(3).wrapping_add((*octet).into())
    })
}
