use std::net::Ipv4Addr;

use super::*;
use crate::LocalAddr;
use crate::device::Device;

const IF1: IfIndex = IfIndex(1);
const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 9]);
const OTHER: MacAddr = MacAddr([2, 0, 0, 0, 0, 8]);

fn addr() -> IpAddr {
    "10.0.0.1".parse().unwrap()
}

fn net() -> Net {
    let device = Device {
        ifindex: IF1,
        name: "dpdk0".into(),
        port: PortId(0),
        mac: MacAddr([2, 0, 0, 0, 0, 1]),
        mtu: 1500,
        kni: true,
        forward_to_kni: false,
    };
    let mut net = Net::new([device]);
    net.set_local_addrs([LocalAddr {
        addr: "10.0.0.100".parse().unwrap(),
        ifindex: IF1,
        sapool: false,
    }]);
    net
}

fn news(mac: MacAddr, create: bool) -> NeighbourNews {
    NeighbourNews {
        ifindex: IF1,
        addr: addr(),
        mac,
        create,
        overrides: true,
        answers: create,
    }
}

fn published_mac(table: &mut NeighbourTable, net: &mut Net) -> Option<MacAddr> {
    table.publish(net);
    let id = net.nexthop_of(IF1, "10.0.0.1".parse().unwrap())?;
    net.nexthop(id)?.macs.map(|macs| macs.dst())
}

fn state(table: &NeighbourTable) -> Option<NeighbourState> {
    table.get(IF1, addr()).map(|neighbour| neighbour.state)
}

#[test]
fn an_unknown_neighbour_is_asked_for_at_once_then_each_second_then_given_up() {
    let (mut table, net) = (NeighbourTable::new(NeighbourConfig::default()), net());
    table.resolve(0, IF1, addr());
    let asked: Vec<u64> = (0..10_000)
        .step_by(100)
        .filter(|now| !table.poll(*now, &net).is_empty())
        .collect();
    assert_eq!(asked, [0, 1_000, 2_000]);
    assert_eq!(state(&table), Some(NeighbourState::Failed));
    table.poll(60_000, &net);
    assert_eq!(state(&table), None);
}

#[test]
fn requests_are_broadcast_from_an_address_of_the_device() {
    let (mut table, net) = (NeighbourTable::new(NeighbourConfig::default()), net());
    table.resolve(0, IF1, addr());
    let (port, frame) = table.poll(0, &net)[0];
    assert_eq!(port, PortId(0));
    assert_eq!(frame.bytes()[..6], [0xff; 6]);
    assert_eq!(frame.bytes()[28..32], [10, 0, 0, 100], "sender address");
    assert_eq!(frame.bytes()[38..42], [10, 0, 0, 1], "target address");
}

/// A table in which the neighbour has answered.
fn resolved() -> (NeighbourTable, Net) {
    let (mut table, net) = (NeighbourTable::new(NeighbourConfig::default()), net());
    table.resolve(0, IF1, addr());
    table.poll(0, &net);
    table.learn(0, &news(MAC, true));
    (table, net)
}

/// Where the requests go that are due.
fn asked(table: &mut NeighbourTable, now_ms: u64, net: &Net) -> Vec<MacAddr> {
    let frames = table.poll(now_ms, net);
    frames
        .iter()
        .map(|(_, frame)| MacAddr(*frame.bytes().first_chunk().unwrap()))
        .collect()
}

#[test]
fn an_answer_is_published() {
    let (mut table, mut net) = (NeighbourTable::new(NeighbourConfig::default()), net());
    table.resolve(0, IF1, addr());
    assert_eq!(published_mac(&mut table, &mut net), None);
    table.poll(0, &net);
    table.learn(10, &news(MAC, true));
    assert_eq!(published_mac(&mut table, &mut net), Some(MAC));
    assert_eq!(state(&table), Some(NeighbourState::Reachable));
}

/// Gratuitous ARP after a failover: RFC 5227, 3. The new owner is asked, and answers.
#[test]
fn an_announced_mac_is_probed_at_once_and_used_when_it_answers() {
    let (mut table, mut net) = resolved();
    published_mac(&mut table, &mut net);
    let generation = net.generation;
    table.learn(20, &news(OTHER, false));
    assert_eq!(asked(&mut table, 20, &net), [OTHER]);
    table.learn(21, &news(OTHER, true));
    assert_eq!(published_mac(&mut table, &mut net), Some(OTHER));
    assert_eq!(state(&table), Some(NeighbourState::Reachable));
    assert_eq!(
        net.generation, generation,
        "conns keep their next hop when only its MAC changed"
    );
}

/// An announcement proves nothing (RFC 4861, 7.2.5), however often it comes.
#[test]
fn a_false_announcement_changes_nothing_and_the_old_owner_answers_within_three_seconds() {
    let (mut table, mut net) = resolved();
    let mut requests = Vec::new();
    for now_ms in (20..3_000).step_by(10) {
        if now_ms < 1_500 {
            table.learn(now_ms, &news(OTHER, false));
        }
        for to in asked(&mut table, now_ms, &net) {
            requests.push(to);
            if to == MacAddr::BROADCAST {
                table.learn(now_ms, &news(MAC, true));
            }
        }
        assert_eq!(published_mac(&mut table, &mut net), Some(MAC));
    }
    assert!(requests.len() <= 4, "about one a second: {requests:?}");
    assert_eq!(requests[..2], [OTHER, MacAddr::BROADCAST]);
    assert_eq!(state(&table), Some(NeighbourState::Reachable));
}

#[test]
fn after_an_announcement_that_nobody_answers_for_the_neighbour_is_resolved_anew() {
    let (mut table, mut net) = resolved();
    table.learn(20, &news(OTHER, false));
    for now_ms in (20..3_100).step_by(10) {
        table.poll(now_ms, &net);
    }
    assert_eq!(state(&table), Some(NeighbourState::Failed));
    assert_eq!(published_mac(&mut table, &mut net), None);
    table.resolve(3_100, IF1, addr());
    assert_eq!(asked(&mut table, 3_100, &net), [MacAddr::BROADCAST]);
}

/// RFC 4861, 7.2.3 and 7.2.5: an entry made by a request, or by an announcement while the neighbour
/// is being asked for, is not proved.
#[test]
fn what_the_first_packet_says_is_used_and_proved() {
    let unasked = NeighbourNews {
        answers: false,
        ..news(MAC, true)
    };
    for waits in [false, true] {
        let (mut table, mut net) = (NeighbourTable::new(NeighbourConfig::default()), net());
        if waits {
            table.resolve(0, IF1, addr());
            table.poll(0, &net);
        }
        table.learn(5, &unasked);
        assert_eq!(published_mac(&mut table, &mut net), Some(MAC));
        assert_eq!(asked(&mut table, 5, &net), [MAC]);
        table.learn(6, &unasked);
        assert_eq!(state(&table), Some(NeighbourState::Probe), "said again");
        table.learn(7, &news(MAC, true));
        assert_eq!(state(&table), Some(NeighbourState::Reachable));
    }
}

/// RFC 4861, 7.2.5: without the flag, a different MAC address makes a reachable entry doubtful.
#[test]
fn an_advertisement_that_does_not_override_has_the_old_mac_probed() {
    let (mut table, mut net) = resolved();
    let humble = NeighbourNews {
        overrides: false,
        ..news(OTHER, false)
    };
    table.learn(20, &humble);
    assert_eq!(asked(&mut table, 20, &net), [MAC]);
    table.learn(21, &humble);
    assert_eq!(published_mac(&mut table, &mut net), Some(MAC));
    table.learn(22, &news(MAC, true));
    assert_eq!(state(&table), Some(NeighbourState::Reachable));
}

#[test]
fn what_is_only_overheard_makes_no_entry() {
    let mut table = NeighbourTable::new(NeighbourConfig::default());
    table.learn(0, &news(MAC, false));
    assert_eq!(state(&table), None);
}

#[test]
fn an_old_answer_is_verified_with_the_neighbour_alone_first_and_then_forgotten() {
    let (mut table, mut net) = resolved();
    assert!(table.poll(59_999, &net).is_empty());
    let asked_alone = asked(&mut table, 60_000, &net);
    assert_eq!(asked_alone, [MAC], "unicast, RFC 1122 2.3.2.1");
    assert_eq!(state(&table), Some(NeighbourState::Probe));
    assert_eq!(
        published_mac(&mut table, &mut net),
        Some(MAC),
        "traffic goes on meanwhile"
    );
    table.learn(60_100, &news(MAC, true));
    assert_eq!(state(&table), Some(NeighbourState::Reachable));
    for now in (120_100..130_000).step_by(1_000) {
        table.poll(now, &net);
    }
    assert_eq!(state(&table), Some(NeighbourState::Failed));
    assert_eq!(published_mac(&mut table, &mut net), None);
}

#[test]
fn a_configured_neighbour_neither_ages_nor_changes() {
    let (mut table, mut net) = (NeighbourTable::new(NeighbourConfig::default()), net());
    table.add_static(IF1, addr(), MAC);
    table.learn(0, &news(OTHER, true));
    assert!(table.poll(u64::MAX - 1, &net).is_empty());
    assert_eq!(published_mac(&mut table, &mut net), Some(MAC));
    table.flush(None, |_| true);
    assert_eq!(state(&table), Some(NeighbourState::Permanent));
}

#[test]
fn a_removed_neighbour_s_next_hop_is_gone_so_conns_look_again() {
    let (mut table, mut net) = (NeighbourTable::new(NeighbourConfig::default()), net());
    table.learn(0, &news(MAC, true));
    published_mac(&mut table, &mut net);
    let id = net.nexthop_of(IF1, [10, 0, 0, 1].into()).unwrap();
    assert!(table.remove(IF1, addr()));
    assert!(!table.remove(IF1, addr()));
    assert_eq!(published_mac(&mut table, &mut net), None);
    assert_eq!(net.nexthop(id), None);
}

/// A conn that remembers an id must never find another neighbour under it.
#[test]
fn an_id_names_another_neighbour_only_after_conns_were_told_to_forget() {
    let (mut table, mut net) = (NeighbourTable::new(NeighbourConfig::default()), net());
    let mut named: HashMap<NexthopId, (u16, u32)> = HashMap::new();
    for n in 0..5_000u32 {
        let addr = Ipv4Addr::from(0x0a01_0000 + n);
        table.learn(
            0,
            &NeighbourNews {
                addr: addr.into(),
                ..news(MAC, true)
            },
        );
        table.publish(&mut net);
        let id = net.nexthop_of(IF1, addr.into()).unwrap();
        let (generation, _) = *named.entry(id).or_insert((net.generation, n));
        let is_reused = named
            .insert(id, (net.generation, n))
            .is_some_and(|(_, before)| before != n);
        assert!(!is_reused || generation != net.generation, "{id:?}");
        table.remove(IF1, addr.into());
        table.publish(&mut net);
    }
    assert!(named.len() < 2_000, "ids are reused");
    assert!(
        net.generation < 10,
        "and conns seldom have to look again: {}",
        net.generation
    );
}

fn small_table(max_entries: usize) -> NeighbourTable {
    NeighbourTable::new(NeighbourConfig {
        max_entries,
        ..NeighbourConfig::default()
    })
}

fn listed(table: &NeighbourTable) -> Vec<String> {
    table
        .iter()
        .map(|neighbour| neighbour.addr.to_string())
        .collect()
}

#[test]
fn in_a_full_table_the_one_longest_without_an_answer_gives_way() {
    let (mut table, net) = (small_table(3), net());
    table.learn(0, &news(MAC, true));
    table.resolve(1, IF1, "10.0.0.2".parse().unwrap());
    table.resolve(2, IF1, "10.0.0.3".parse().unwrap());
    table.poll(5, &net);
    table.resolve(6, IF1, "10.0.0.4".parse().unwrap());
    assert_eq!(listed(&table), ["10.0.0.1", "10.0.0.3", "10.0.0.4"]);
}

/// Requests from many made-up senders must not push a real server out, nor keep one from getting
/// in.
#[test]
fn in_a_full_table_those_only_heard_of_give_way_and_those_in_use_stay() {
    let mut table = small_table(2);
    table.resolve(0, IF1, addr());
    table.learn(1, &news(MAC, true));
    for n in 0..100u8 {
        table.learn(
            2 + u64::from(n),
            &NeighbourNews {
                addr: [10, 0, 1, n].into(),
                ..news(OTHER, true)
            },
        );
    }
    assert_eq!(listed(&table), ["10.0.0.1", "10.0.1.99"]);
    table.resolve(200, IF1, "10.0.0.2".parse().unwrap());
    assert_eq!(listed(&table), ["10.0.0.1", "10.0.0.2"]);
    table.learn(
        201,
        &NeighbourNews {
            addr: [10, 0, 0, 2].into(),
            ..news(OTHER, true)
        },
    );
    table.resolve(202, IF1, "10.0.0.3".parse().unwrap());
    assert_eq!(
        listed(&table),
        ["10.0.0.1", "10.0.0.2"],
        "full of neighbours in use"
    );
}

#[test]
fn a_burst_is_asked_for_in_bounded_steps_and_completely() {
    let (mut table, net) = (NeighbourTable::new(NeighbourConfig::default()), net());
    for n in 0..1_000u32 {
        table.resolve(0, IF1, Ipv4Addr::from(0x0a01_0000 + n).into());
    }
    let steps: Vec<usize> = (0..20).map(|_| table.poll(0, &net).len()).collect();
    assert!(steps.iter().all(|asked| *asked <= ACTS_PER_POLL));
    assert_eq!(steps.iter().sum::<usize>(), 1_000);
    assert_eq!(table.next_deadline_ms(), Some(1_000));
}

#[test]
fn nobody_asks_for_our_own_addresses() {
    let (mut table, net) = (NeighbourTable::new(NeighbourConfig::default()), net());
    table.resolve(0, IF1, "10.0.0.100".parse().unwrap());
    assert!(table.poll(0, &net).is_empty());
    assert_eq!(listed(&table), [""; 0]);
}

#[test]
fn a_changed_device_is_published_with_its_neighbours() {
    let (mut table, mut net) = (NeighbourTable::new(NeighbourConfig::default()), net());
    table.learn(0, &news(MAC, true));
    published_mac(&mut table, &mut net);
    let changed = Device {
        mtu: 9000,
        mac: OTHER,
        ..net.devices[0].clone()
    };
    net.devices = [changed].into();
    assert!(!table.publish(&mut net), "nothing to publish yet");
    table.touch_device(IF1);
    assert!(table.publish(&mut net));
    let id = net.nexthop_of(IF1, [10, 0, 0, 1].into()).unwrap();
    assert_eq!(
        net.nexthop(id)
            .map(|nexthop| (nexthop.macs.map(|macs| macs.src()), nexthop.mtu)),
        Some((Some(OTHER), 9000))
    );
}

#[test]
fn nobody_asks_for_addresses_that_are_no_neighbour_s() {
    let mut table = NeighbourTable::new(NeighbourConfig::default());
    for addr in ["0.0.0.0", "224.0.0.5", "255.255.255.255", "127.0.0.1"] {
        table.resolve(0, IF1, addr.parse().unwrap());
    }
    assert_eq!(table.iter().count(), 0);
}
