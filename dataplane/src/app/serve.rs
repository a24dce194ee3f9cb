//! The control socket is served until a signal.

use std::io;
use std::sync::Arc;

use control::Control;
use sd_notify::NotifyState;
use tokio::sync::watch;
use tokio::task::JoinError;

use super::reload::Reload;
use super::signals::{Came, Signals};
use super::socket::ControlSocket;

/// Why the control socket could not be served.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServeError {
    #[error("cannot start the control plane: {0}")]
    Start(#[from] io::Error),
    #[error("the control plane ended early: {0}")]
    Ended(#[from] JoinError),
}

/// Threads of the control plane. EAL has pinned the main lcore's thread, and they inherit its CPU.
const THREADS: usize = 2;

/// Serves the control socket until SIGTERM or SIGINT. SIGHUP reads the
/// configuration file again.
pub(super) fn until_signal(
    control: Arc<Control>,
    socket: ControlSocket,
    signals: Signals,
    reload: Reload,
) -> Result<(), ServeError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name("control")
        .enable_all()
        .build()?;
    runtime.block_on(serve(control, socket, signals, reload))
}

async fn serve(
    control: Arc<Control>,
    socket: ControlSocket,
    mut signals: Signals,
    mut reload: Reload,
) -> Result<(), ServeError> {
    let (stop, stopped) = watch::channel(false);
    let ticking = tokio::spawn(Arc::clone(&control).run(told_to_stop(stopped.clone())));
    let listener = tokio::net::UnixListener::from_std(socket.listener()?)?;
    let serving = tokio::spawn(control::serve(
        Arc::clone(&control),
        listener,
        told_to_stop(stopped),
    ));
    tracing::info!(socket = %socket.path().display(), "ready");
    tell_systemd(&[NotifyState::Status("forwarding"), NotifyState::Ready]);
    let signal = loop {
        match signals.next().await {
            Came::Stop(signal) => break signal,
            Came::Reload => {
                tell_systemd(&reloading());
                reload.reload(&control).await;
                tell_systemd(&[NotifyState::Ready]);
            }
        }
    };
    tracing::info!(signal, "stopping");
    tell_systemd(&[NotifyState::Stopping]);
    let _ = stop.send(true);
    ticking.await?;
    serving.abort();
    Ok(())
}

/// The result is ignored: without systemd there is nobody to tell.
fn tell_systemd(state: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(false, state);
}

/// systemd wants to know the time when a reload began. See sd_notify(3).
fn reloading() -> Vec<NotifyState<'static>> {
    let time = NotifyState::monotonic_usec_now().ok();
    [NotifyState::Reloading].into_iter().chain(time).collect()
}

async fn told_to_stop(mut stopped: watch::Receiver<bool>) {
    // An error means that the sender is gone, which is also a reason to stop.
    let _ = stopped.wait_for(|stop| *stop).await;
}
