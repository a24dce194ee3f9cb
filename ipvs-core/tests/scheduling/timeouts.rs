//! A changed timeout holds for the conns that exist, from their next packet on, as in LVS.

use ipvs_core::{FwdMode, Persistence, Protocol, TcpState, Timeouts};
use rstest::rstest;
use testkit::director::*;
use testkit::frames;

/// The client's data on an established conn.
fn data() -> Vec<u8> {
    let data = frames::tcp(CLIENT, VIP).flags("PA").seq(1001).ack(5001);
    data.payload(b"data").frame(FROM_CLIENT)
}

fn expires_in_s(director: &mut Director) -> u32 {
    director.conns()[0].expires_in_s
}

fn close_to(secs: u32, expected: u32) -> bool {
    secs.abs_diff(expected) <= 1
}

/// Control sets both for `--set` and `[timeouts]`.
fn set(director: &mut Director, change: impl FnOnce(&mut Timeouts)) {
    change(&mut director.snapshot.timeouts);
    director.publish();
}

#[rstest]
fn an_established_tcp_conn_takes_up_a_new_timeout(
    #[values(30, 900)] timeout_s: u32,
    #[values(true, false)] of_service: bool,
) {
    let mut director = Setup::default().build();
    director.open();
    director.to_dest(&data());
    if of_service {
        director.edit(|service| service.options.conn_timeout_s = Some(timeout_s));
    } else {
        set(&mut director, |timeouts| {
            timeouts.tcp_s[TcpState::Established as usize] = timeout_s;
        });
    }
    director.wait_s(10);
    assert!(close_to(expires_in_s(&mut director), 80), "no packet came");
    director.to_dest(&data());
    assert!(close_to(expires_in_s(&mut director), timeout_s));
    director.wait_s(u64::from(timeout_s) - 2);
    assert_eq!(director.states(), ["ESTABLISHED"]);
    director.wait_s(4);
    assert_eq!(director.states(), [""; 0]);
}

#[rstest]
fn a_udp_conn_takes_up_a_new_timeout(
    #[values(FwdMode::FullNat, FwdMode::Nat, FwdMode::DirectRoute)] fwdmode: FwdMode,
    #[values(true, false)] of_service: bool,
) {
    let mut director = Setup {
        protocol: Protocol::Udp,
        fwdmode,
        ..Setup::default()
    }
    .build();
    let ask = frames::udp(CLIENT, VIP, b"ask", FROM_CLIENT);
    only(director.receive(WAN, &ask));
    if of_service {
        director.edit(|service| service.options.conn_timeout_s = Some(20));
    } else {
        set(&mut director, |timeouts| {
            (timeouts.udp_s, timeouts.udp_oneway_s) = (20, 20);
        });
    }
    only(director.receive(WAN, &ask));
    assert!(close_to(expires_in_s(&mut director), 20));
    director.wait_s(22);
    assert_eq!(director.states(), [""; 0]);
}

#[test]
fn a_closing_conn_takes_up_a_new_timeout() {
    let mut director = Setup::default().build();
    director.open();
    let fin = frames::tcp(CLIENT, VIP).flags("FA").seq(1001).ack(5001);
    director.to_dest(&fin.frame(FROM_CLIENT));
    set(&mut director, |timeouts| {
        timeouts.tcp_s[TcpState::CloseWait as usize] = 60;
    });
    director.to_dest(&fin.frame(FROM_CLIENT));
    director.wait_s(50);
    assert_eq!(director.states(), ["CLOSE_WAIT"]);
}

/// Lets time pass in steps of 20 seconds.
fn wait_days(director: &mut Director, days: u64) {
    for _ in 0..days * 86_400 / 20 {
        director.now.ns += 20_000_000_000;
        for _ in 0..4 {
            director.engine.housekeep(director.now, &mut director.wire);
        }
    }
}

/// ipvsadm(8): a timeout may be as long as 31 days.
#[test]
fn a_conn_and_the_dest_of_a_client_may_be_kept_for_31_days() {
    const DAYS_31_S: u32 = 31 * 86_400;
    let mut director = Setup {
        protocol: Protocol::Udp,
        dests: vec![DEST, "192.168.100.3:80"],
        ..Setup::default()
    }
    .build();
    director.edit(|service| {
        service.options.conn_timeout_s = Some(DAYS_31_S);
        service.options.persistence = Some(Persistence {
            timeout_s: DAYS_31_S,
            prefix_len: 32,
        });
    });
    let ask = frames::udp(CLIENT, VIP, b"ask", FROM_CLIENT);
    only(director.receive(WAN, &ask));
    let left = expires_in_s(&mut director);
    assert!((DAYS_31_S - 1..DAYS_31_S + 128).contains(&left), "{left}");
    wait_days(&mut director, 30);
    assert_eq!(director.conns().len(), 1);
    wait_days(&mut director, 2);
    assert_eq!(director.conns().len(), 0);
}
