//! `dpip addr`.

use proto::v1;
use tonic::{Request, Response, Status};

use super::caller::{log_change, of_device};
use super::convert::field;
use super::{Api, convert};
use crate::desired::{Address, AddressRequest};
use crate::publish::State;

#[tonic::async_trait]
impl v1::address_service_server::AddressService for Api {
    async fn add_address(
        &self,
        request: Request<v1::Address>,
    ) -> Result<Response<v1::Empty>, Status> {
        let request = convert::address(request.get_ref())?;
        self.control
            .write(|state| state.desired.add_address(&request))
            .await?;
        log_change(format_args!("address {} added", text(&request)));
        Ok(self.done().await)
    }

    async fn set_address(
        &self,
        request: Request<v1::Address>,
    ) -> Result<Response<v1::Empty>, Status> {
        let request = convert::address(request.get_ref())?;
        self.control
            .write(|state| state.desired.set_address(&request))
            .await?;
        log_change(format_args!("address {} set", text(&request)));
        Ok(self.done().await)
    }

    async fn del_address(
        &self,
        request: Request<v1::Address>,
    ) -> Result<Response<v1::Empty>, Status> {
        let message = request.get_ref();
        let addr = field::ip(message.address.as_ref(), "address")?;
        let prefix_len = match message.prefix_len {
            0 => None,
            len => Some(field::prefix_len(len, addr)?),
        };
        self.control
            .write(|state| {
                let desired = &mut state.desired;
                desired.del_address(addr, prefix_len, &message.device)
            })
            .await?;
        log_change(format_args!("address {addr} of {} removed", message.device));
        Ok(self.done().await)
    }

    async fn flush_addresses(
        &self,
        request: Request<v1::FlushAddressesRequest>,
    ) -> Result<Response<v1::Empty>, Status> {
        let message = request.into_inner();
        let whose = of_device(&message.device);
        let family = field::known(message.family, "family")?;
        self.control
            .write_all(move |desired, _| {
                let is_meant = |addr| field::is_of(family, addr);
                Ok(desired.flush_addresses(&message.device, is_meant)?)
            })
            .await?;
        log_change(format_args!("addresses{whose} removed"));
        Ok(self.done().await)
    }

    async fn list_addresses(
        &self,
        request: Request<v1::ListAddressesRequest>,
    ) -> Result<Response<v1::ListAddressesResponse>, Status> {
        let device = &request.get_ref().device;
        let family = field::known(request.get_ref().family, "family")?;
        let addresses = self.control.read(|state| {
            if !device.is_empty() {
                state.desired.device(device)?;
            }
            let desired = &state.desired;
            let is_wanted = |address: &Address| {
                field::is_of(family, address.addr)
                    && (device.is_empty() || desired.device_name(address.ifindex) == device)
            };
            let all = desired.addresses.values().cloned();
            let shown = all.chain(desired.link_locals()).filter(is_wanted);
            Ok::<_, Status>(shown.map(|address| message(state, &address)).collect())
        })?;
        Ok(Response::new(v1::ListAddressesResponse { addresses }))
    }
}

fn text(request: &AddressRequest) -> String {
    let AddressRequest {
        addr,
        prefix_len,
        device,
        ..
    } = request;
    let sapool = if request.sapool { " sapool" } else { "" };
    format!("{addr}/{prefix_len} dev {device}{sapool}")
}

fn message(state: &State, address: &Address) -> v1::Address {
    let per_worker = state
        .desired
        .laddrs
        .get(&address.addr)
        .map(|laddr| worker_use(state, laddr.id))
        .unwrap_or_default();
    let sapool_use = address.sapool.then(|| {
        let sum = |field: fn(&v1::SapoolUse) -> u64| {
            per_worker
                .iter()
                .filter_map(|worker| worker.r#use.as_ref())
                .map(field)
                .sum()
        };
        v1::SapoolUse {
            used: sum(|usage| usage.used),
            free: sum(|usage| usage.free),
            missed: sum(|usage| usage.missed),
        }
    });
    v1::Address {
        address: Some(field::ip_message(address.addr)),
        prefix_len: address.prefix_len.into(),
        device: state.desired.device_name(address.ifindex).to_owned(),
        broadcast: address.broadcast.map(field::ip_message),
        scope: convert::scope_message(address.scope).into(),
        sapool: address.sapool,
        valid_lft: 0,
        preferred_lft: 0,
        sapool_use,
        worker_sapool_use: per_worker,
        conflict: state
            .conflicts
            .get(address.addr)
            .map(|record| v1::AddressConflict {
                mac: record.mac.0.to_vec(),
                count: record.count,
                last_ms_ago: state.now_ms.saturating_sub(record.last_ms),
            }),
    }
}

fn worker_use(state: &State, id: ipvs_core::LaddrId) -> Vec<v1::WorkerSapoolUse> {
    let lcores = state.workers.handles().map(|worker| worker.lcore);
    state
        .port_pools
        .usage_of(id)
        .zip(lcores)
        .map(|((usage, capacity), lcore)| v1::WorkerSapoolUse {
            lcore,
            r#use: Some(v1::SapoolUse {
                used: usage.used(),
                free: capacity.saturating_sub(usage.used()),
                missed: usage.missed(),
            }),
        })
        .collect()
}
