//! The sections `[[device]]`: the ports.

use std::collections::BTreeSet;

use packet::MacAddr;
use serde::Deserialize;

use super::error::Invalid;
use super::settings::{DeviceAddress, DeviceConfig, Steering};

/// A section as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDevice {
    name: String,
    pci: Option<String>,
    vdev: Option<String>,
    #[serde(default)]
    rx_desc: u16,
    #[serde(default)]
    tx_desc: u16,
    #[serde(default = "default_mtu")]
    mtu: u16,
    #[serde(default)]
    promiscuous: bool,
    #[serde(default = "yes")]
    kni: bool,
    kni_name: Option<String>,
    mac: Option<String>,
    #[serde(default)]
    steering: Steering,
}

const fn default_mtu() -> u16 {
    1500
}

const fn yes() -> bool {
    true
}

/// Checks each device, and that no two have the same name.
pub(super) fn validate(raw: Vec<RawDevice>) -> Result<Vec<DeviceConfig>, Invalid> {
    if raw.is_empty() {
        return Err(Invalid::NoDevice);
    }
    let devices = raw
        .into_iter()
        .map(RawDevice::validate)
        .collect::<Result<Vec<_>, _>>()?;
    let names = devices.iter().map(|device| device.name.as_str());
    if let Some(twice) = first_repeated(names) {
        return Err(Invalid::DeviceTwice(twice.to_owned()));
    }
    let knis = devices.iter().filter_map(|device| device.kni.as_deref());
    if let Some(twice) = first_repeated(knis) {
        return Err(Invalid::KniTwice(twice.to_owned()));
    }
    Ok(devices)
}

fn first_repeated<'a>(mut names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut seen = BTreeSet::new();
    names.find(|name| !seen.insert(*name))
}

impl RawDevice {
    fn validate(self) -> Result<DeviceConfig, Invalid> {
        let name = self.name;
        let is_word = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if name.is_empty() || !name.chars().all(is_word) {
            return Err(Invalid::DeviceName(name));
        }
        let address = match (self.pci, self.vdev) {
            (Some(pci), None) => DeviceAddress::Pci(pci_address(&name, &pci)?),
            (None, Some(vdev)) => DeviceAddress::Vdev(vdev),
            (None, None) => return Err(Invalid::NoAddress(name)),
            (Some(_), Some(_)) => return Err(Invalid::TwoAddresses(name)),
        };
        // 68: RFC 791, 3.2. 9000: the usual MTU of jumbo frames.
        if !(68..=9000).contains(&self.mtu) {
            let (device, mtu) = (name, self.mtu);
            return Err(Invalid::Mtu { device, mtu });
        }
        let kni = self
            .kni
            .then(|| self.kni_name.unwrap_or_else(|| format!("{name}.kni")));
        if let Some(kni) = kni.as_ref().filter(|kni| kni.len() > kni::LONGEST_NAME) {
            return Err(Invalid::KniName {
                device: name,
                name: kni.clone(),
            });
        }
        let mac = self.mac.map(|text| mac_address(&name, text));
        Ok(DeviceConfig {
            steering: self.steering,
            address,
            rx_desc: self.rx_desc,
            tx_desc: self.tx_desc,
            mtu: self.mtu,
            promiscuous: self.promiscuous,
            kni,
            mac: mac.transpose()?,
            name,
        })
    }
}

/// As sysfs writes it: domain, bus, device, function.
fn pci_address(device: &str, text: &str) -> Result<String, Invalid> {
    let full = if text.matches(':').count() == 1 {
        format!("0000:{text}")
    } else {
        text.to_owned()
    };
    let shape: String = full
        .chars()
        .map(|c| if c.is_ascii_hexdigit() { 'h' } else { c })
        .collect();
    if shape == "hhhh:hh:hh.h" {
        Ok(full.to_ascii_lowercase())
    } else {
        Err(Invalid::PciAddress {
            device: device.to_owned(),
            text: text.to_owned(),
        })
    }
}

/// A port cannot have a multicast address, so those are refused too.
fn mac_address(device: &str, text: String) -> Result<MacAddr, Invalid> {
    match text.parse::<MacAddr>() {
        Ok(mac) if !mac.is_multicast() => Ok(mac),
        _ => Err(Invalid::Mac {
            device: device.to_owned(),
            text,
        }),
    }
}
