//! Clients that send garbage, too much, or nothing: nothing changes for anyone else.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::common::*;
use proto::v1;
use proto::v1::change::Change;
use tonic::Code;

/// Whether a well-behaved client gets what it wants.
async fn works(director: &Director) {
    let version = director.ipvs().await.get_version(v1::Empty {}).await;
    assert_eq!(version.unwrap().into_inner().minor, 1);
}

/// Whether the other side hangs up, whatever it says before.
fn has_ended(mut socket: &UnixStream) -> bool {
    match socket.read_to_end(&mut Vec::new()) {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_ends_the_connection_it_came_by() {
    let director = director().await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let frame_of_16_megabytes = [preface.as_slice(), &[0xFF; 64]].concat();
    let mut noise = preface.clone();
    noise.extend((0..4096u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8));
    for bytes in [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        vec![0; 4096],
        frame_of_16_megabytes,
        noise,
    ] {
        let mut socket = UnixStream::connect(&director.socket).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        // The other side may hang up before all is written.
        let _ = socket.write_all(&bytes);
        assert!(has_ended(&socket));
        works(&director).await;
    }
    // Cut in the middle of the preface.
    UnixStream::connect(&director.socket)
        .unwrap()
        .write_all(&preface[..10])
        .unwrap();
    works(&director).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_keep_nobody_out() {
    let director = director().await;
    let idle: Vec<_> = (0..600)
        .map(|_| {
            let socket = UnixStream::connect(&director.socket).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket
        })
        .collect();
    works(&director).await;
    // The oldest of them had to go.
    assert!(has_ended(&idle[0]));
    drop(idle);
    works(&director).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_too_long_is_refused() {
    let director = director().await;
    let before = director.everything().await;
    let mut ipvs = director.ipvs().await;
    let long = service(VIP, 80, &"r".repeat(100_000));
    let status = ipvs.add_service(long).await.unwrap_err();
    assert!(
        matches!(status.code(), Code::OutOfRange | Code::ResourceExhausted),
        "{status}"
    );
    assert_eq!(director.everything().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_requests_starves_nobody() {
    let director = director().await;
    let mut floods = Vec::new();
    for _ in 0..8 {
        let mut ipvs = director.ipvs().await;
        floods.push(tokio::spawn(async move {
            loop {
                let all = v1::ListServicesRequest::default();
                drop(ipvs.list_services(all).await);
                drop(ipvs.add_dest(dest(VIP, 81, "192.168.100.2", 80)).await);
                // Calls to a director that has ended fail at once, and without a pause here the
                // task could not be aborted any more.
                tokio::task::yield_now().await;
            }
        }));
    }
    let mut ipvs = director.ipvs().await;
    for port in 100..200 {
        let added = ipvs.add_service(service(VIP, port, "rr"));
        tokio::time::timeout(PATIENCE, added)
            .await
            .unwrap()
            .unwrap();
    }
    director
        .until_workers("100 services", |worker| {
            worker.snapshot.services.iter().count() == 100
        })
        .await;
    for flood in floods {
        flood.abort();
    }
}

/// Many unfinished `Apply` calls hold no lock.
#[tokio::test(flavor = "multi_thread")]
async fn unfinished_transactions_hold_up_nobody() {
    let director = director().await;
    let mut senders = Vec::new();
    for number in 0..20 {
        let mut ipvs = director.ipvs().await;
        let (send, changes) = tokio::sync::mpsc::channel(1);
        let stream = tokio_stream::wrappers::ReceiverStream::new(changes);
        tokio::spawn(async move { ipvs.apply(stream).await });
        let add = change(Change::AddService(service(VIP, 1000 + number, "rr")));
        send.send(add).await.unwrap();
        senders.push(send);
    }
    let mut ipvs = director.ipvs().await;
    let added = ipvs.add_service(service(VIP, 80, "rr"));
    tokio::time::timeout(Duration::from_secs(5), added)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(director.services().await.len(), 1);
}
