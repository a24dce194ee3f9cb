//! `dpip neigh`.

use cli::{CliError, ip_message, ip_or_zero};
use proto::v1::neighbour_service_client::NeighbourServiceClient;
use proto::v1::{FlushNeighboursRequest, ListNeighboursRequest, Neighbour};
use serde_json::{Value, json};

use crate::words::{Words, parse_addr, unknown};
use crate::{Context, Verb};

pub async fn run(context: &Context, verb: Verb, words: Words) -> Result<(), CliError> {
    let request = parse(words)?;
    let (family, device) = (context.options.family.into(), request.device.clone());
    match verb {
        Verb::Show => {
            let mut client = NeighbourServiceClient::new(context.connect().await?);
            let list = ListNeighboursRequest { device, family };
            let neighbours = client.list_neighbours(list).await?.into_inner().neighbours;
            if context.options.json {
                cli::print_json(&neighbours.iter().map(json).collect())
            } else {
                cli::print(&neighbours.iter().map(text).collect::<String>())
            }
        }
        Verb::Flush => {
            let mut client = NeighbourServiceClient::new(context.connect().await?);
            client
                .flush_neighbours(FlushNeighboursRequest { device, family })
                .await?;
            Ok(())
        }
        Verb::Set => Err(CliError::unsupported("'dpip neigh set'")),
        Verb::Add | Verb::Del => {
            if request.address.is_none()
                || device.is_empty()
                || (verb == Verb::Add && request.mac.is_empty())
            {
                return Err(CliError::failed(
                    "name all of it, as in `dpip neigh add 10.0.0.1 lladdr 02:00:00:00:00:01 dev dpdk0`",
                ));
            }
            let mut client = NeighbourServiceClient::new(context.connect().await?);
            if verb == Verb::Add {
                client.add_neighbour(request).await?;
            } else {
                client.del_neighbour(request).await?;
            }
            Ok(())
        }
    }
}

fn parse(mut words: Words) -> Result<Neighbour, CliError> {
    let mut neighbour = Neighbour::default();
    while let Some(word) = words.next() {
        match word.as_str() {
            "dev" => neighbour.device = words.value("dev")?,
            "lladdr" => neighbour.mac = parse_mac(&words.value("lladdr")?)?,
            _ if neighbour.address.is_none() && word.contains(['.', ':']) => {
                neighbour.address = Some(ip_message(parse_addr(&word)?));
            }
            _ => return Err(unknown(&word, &["dev", "lladdr"])),
        }
    }
    Ok(neighbour)
}

/// Six bytes in hexadecimal with colons.
pub fn parse_mac(word: &str) -> Result<Vec<u8>, CliError> {
    let bytes: Option<Vec<u8>> = word
        .split(':')
        .map(|byte| u8::from_str_radix(byte, 16).ok())
        .collect();
    bytes.filter(|bytes| bytes.len() == 6).ok_or_else(|| {
        CliError::failed(format!(
            "'{word}' is no MAC address, as in 02:00:00:00:00:01"
        ))
    })
}

fn text(neighbour: &Neighbour) -> String {
    let addr = ip_or_zero(neighbour.address.as_ref()).to_string();
    let is_static = if neighbour.r#static { "static" } else { "" };
    // One table for all lcores: the column stays for scripts.
    let tail = format!("dev: {}  core: 0  {is_static}\n", neighbour.device);
    if neighbour.mac.is_empty() {
        format!(
            "ip: {addr:<48} mac:incomplate                       state: {:<12}   {tail}",
            neighbour.state
        )
    } else {
        format!(
            "ip: {addr:<48} mac: {}   state: {:<12}  {tail}",
            cli::mac(&neighbour.mac),
            neighbour.state
        )
    }
}

fn json(neighbour: &Neighbour) -> Value {
    json!({
        "address": ip_or_zero(neighbour.address.as_ref()).to_string(),
        "mac": (!neighbour.mac.is_empty()).then(|| cli::mac(&neighbour.mac)),
        "device": neighbour.device,
        "state": neighbour.state,
        "static": neighbour.r#static,
    })
}
