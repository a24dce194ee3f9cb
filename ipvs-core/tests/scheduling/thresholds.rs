//! The thresholds of a dest over time and over workers: ipvsadm(8), -x and -y.

use ipvs_core::{DestId, DropReason, FwdMode, OverloadMarks, Protocol, Thresholds};
use testkit::director::*;
use testkit::frames;

const THRESHOLDS: Thresholds = Thresholds { upper: 4, lower: 2 };

fn workers(count: u16) -> Vec<Director> {
    let setup = Setup {
        protocol: Protocol::Udp,
        fwdmode: FwdMode::DirectRoute,
        workers: count,
        ..Setup::default()
    };
    let mut workers = setup.build_all();
    for worker in &mut workers {
        worker.edit(|service| {
            service.dests[0].upper_threshold = THRESHOLDS.upper;
            service.dests[0].lower_threshold = THRESHOLDS.lower;
            service.options.conn_timeout_s = Some(10);
        });
    }
    workers
}

fn ask(port: u16) -> Vec<u8> {
    frames::udp(&format!("10.0.0.48:{port}"), VIP, b"", FROM_CLIENT)
}

/// What control shows as `overload`.
fn is_shown(workers: &[Director]) -> bool {
    let stats: Vec<_> = workers.iter().map(|worker| worker.engine.stats()).collect();
    let of = |stats: &&std::sync::Arc<ipvs_core::WorkerStats>| {
        let dest = stats.dest(DestId(0));
        dest.active_conns.get() + dest.inactive_conns.get()
    };
    let conns = stats.iter().map(of).sum();
    let marks = stats.iter().map(|stats| &stats.overloads);
    OverloadMarks::is_overloaded(marks, DestId(0), THRESHOLDS, conns)
}

/// IPVS, ip_vs_dest_update_overload: a dest becomes overloaded with the conn that reaches the upper
/// threshold, not when the next one asks for it.
#[test]
fn a_dest_that_has_reached_its_upper_threshold_waits_for_the_lower_one_on_every_worker() {
    let mut workers = workers(2);
    only(workers[0].receive(WAN, &ask(1)));
    for worker in &mut workers {
        worker.wait_s(5);
    }
    for port in 2..=3 {
        only(workers[0].receive(WAN, &ask(port)));
    }
    assert!(!is_shown(&workers));
    only(workers[0].receive(WAN, &ask(4)));
    assert!(is_shown(&workers), "4 conns");
    // The first conn ends. Nobody has asked meanwhile.
    for worker in &mut workers {
        worker.wait_s(7);
    }
    assert!(
        is_shown(&workers),
        "3 conns are not below the lower threshold"
    );
    for worker in &mut workers {
        worker.rejects(WAN, &ask(9), DropReason::NoDest);
    }
    // All end. With the first that is below, conns are taken again.
    for worker in &mut workers {
        worker.wait_s(10);
    }
    assert!(!is_shown(&workers), "no conns");
    for port in 11..=13 {
        only(workers[1].receive(WAN, &ask(port)));
    }
    assert!(!is_shown(&workers), "between both, and it has been below");
    only(workers[0].receive(WAN, &ask(14)));
    workers[0].rejects(WAN, &ask(15), DropReason::NoDest);
}
