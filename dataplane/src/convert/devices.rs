//! `device NAME { ... }` becomes `[[device]]`.

use super::output::{Output, quoted};
use super::tree::Item;

/// What is written where no NIC is known. It is a PCI address by its form, and no device has it.
const NO_NIC: &str = "ffff:ff:1f.7";
/// DPVS's range of `descriptor_number`.
const DESCRIPTORS: (u32, u32) = (16, 8192);
/// What `[[device]] mtu` may be.
const MTU: (u32, u32) = (68, 9000);
/// The path of a device's items in notes.
const PATH: &str = "netif_defs/device/";

/// Converts all devices. Returns their names, in the order of the file.
pub(super) fn convert(items: &[Item], nics: &[String], output: &mut Output) -> Vec<String> {
    let has_kni = !items
        .iter()
        .filter(|item| item.name() == "global_defs")
        .flat_map(Item::items)
        .any(|item| item.name() == "kni" && item.values() == ["off"]);
    let netif = items.iter().filter(|item| item.name() == "netif_defs");
    let mut names = Vec::new();
    for item in netif.flat_map(Item::items) {
        let is_bond = item.items().iter().any(|item| item.name() == "slave");
        match (item.name(), item.values()) {
            ("bonding", _) => note_bond(item, output),
            ("device", _) if is_bond => note_bond(item, output),
            ("device", [name]) if names.contains(name) => {
                output.note(
                    item,
                    "netif_defs/",
                    "it is there twice: the first one counts",
                );
            }
            ("device", [name]) => {
                let nic = nics.get(names.len()).map(String::as_str);
                convert_one(name, item, nic, has_kni, output);
                names.push(name.clone());
            }
            ("device", _) => output.note(item, "netif_defs/", "it has no name"),
            _ => {}
        }
    }
    if names.is_empty() {
        let name = "dpdk0";
        output.add_block(format!(
            "# The file has no device.\n[[device]]\nname = \"{name}\"\npci = \"{NO_NIC}\"\n"
        ));
        names.push(name.to_owned());
    }
    names
}

fn note_bond(item: &Item, output: &mut Output) {
    let why = "bonding devices are not there yet: bond in the switch or use one port";
    output.note(item, "netif_defs/", why);
    for inner in item.items() {
        output.note(inner, "netif_defs/bonding/", "as its bonding device");
    }
}

fn convert_one(name: &str, item: &Item, nic: Option<&str>, has_kni: bool, output: &mut Output) {
    let mut text = String::new();
    text.push_str(match nic {
        Some(_) => "# DPVS numbers its ports in the order of their PCI addresses. Compare.\n",
        None => {
            "# dpvs.conf does not say which NIC it is, and no other one is bound to DPDK here:\n\
             # write its PCI address (`scripts/bind-nic` lists them).\n"
        }
    });
    let pci = nic.unwrap_or(NO_NIC);
    text.push_str(&format!(
        "[[device]]\nname = {}\npci = {}\n",
        quoted(name),
        quoted(pci)
    ));
    if !has_kni {
        text.push_str("kni = false\n");
    }
    let mut keys: Vec<(&str, String)> = Vec::new();
    for inner in item.items() {
        match inner.name() {
            "rx" | "tx" => keys.extend(convert_queue(inner, output)),
            "mtu" if inner.values() == ["0"] => {}
            "mtu" => {
                let mtu = output.number(inner, PATH, MTU);
                keys.extend(mtu.map(|mtu| ("mtu", mtu.to_string())));
            }
            "promisc_mode" => keys.push(("promiscuous", "true".into())),
            "kni_name" => keys.extend(kni_name(inner, output).map(|name| ("kni_name", name))),
            "allmulticast" => {
                let why = format!("a command: `dpip link set {name} allmulticast on`");
                output.note(inner, PATH, &why);
            }
            "fdir" => {
                for leaf in inner.items() {
                    let why = "replies find their worker without flow director";
                    output.note(leaf, "netif_defs/device/fdir/", why);
                }
            }
            _ => output.note(inner, PATH, "not an item that dpvsd knows"),
        }
    }
    // A later value replaces an earlier one.
    keys.reverse();
    let mut written = Vec::new();
    for (key, value) in keys {
        if !written.contains(&key) {
            text.push_str(&format!("{key} = {value}\n"));
            written.push(key);
        }
    }
    output.add_block(text);
}

/// `rx { ... }` or `tx { ... }`.
fn convert_queue(item: &Item, output: &mut Output) -> Option<(&'static str, String)> {
    let (key, path) = match item.name() {
        "rx" => ("rx_desc", "netif_defs/device/rx/"),
        _ => ("tx_desc", "netif_defs/device/tx/"),
    };
    let mut descriptors = None;
    for inner in item.items() {
        match inner.name() {
            "descriptor_number" => descriptors = output.number(inner, path, DESCRIPTORS),
            "queue_number" => {
                output.note(inner, path, "a device has one queue for each worker");
            }
            "rss" => output.note(inner, path, "addresses and ports are always hashed"),
            "max_burst_size" => output.note(inner, path, "a burst is 64 packets"),
            _ => output.note(inner, path, "not an item that dpvsd knows"),
        }
    }
    descriptors.map(|number| (key, number.to_string()))
}

fn kni_name(item: &Item, output: &mut Output) -> Option<String> {
    match item.values() {
        [name] if (1..=kni::LONGEST_NAME).contains(&name.len()) => Some(quoted(name)),
        _ => {
            output.note(
                item,
                PATH,
                "not a name of at most 15 bytes: the default is used",
            );
            None
        }
    }
}
