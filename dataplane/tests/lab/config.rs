//! Configuration files of the programs in the lab.

use testkit::netns::Folder;

/// What a director has beyond its two cables.
#[derive(Debug, Default)]
pub(crate) struct More {
    /// Names and vdevs of more devices.
    pub(crate) devices: Vec<(&'static str, String)>,
    /// The number of mbufs, if the default is too small.
    pub(crate) mbufs: Option<u32>,
    /// Whether the director has to see fragments as they come. If so its cables end in libpcap, and
    /// it has no kni. A port of `net_af_packet` asks the kernel to put IPv4 fragments together
    /// first (PACKET_FANOUT_FLAG_DEFRAG).
    pub(crate) sees_fragments: bool,
    /// Whether the first worker polls the last queue of each device, and so on.
    pub(crate) queues_are_swapped: bool,
    /// Whether each write to its log fails, as on a full disk.
    pub(crate) log_is_full: bool,
}

/// The configuration of `dpvsd`.
pub(crate) fn dpvsd(folder: &Folder, workers: u16, more: &More) -> String {
    let driver = if more.sees_fragments {
        "net_pcap"
    } else {
        "net_af_packet"
    };
    let mut devices = vec![
        ("dpdk0", format!("{driver}0,iface=lan")),
        ("dpdk1", format!("{driver}1,iface=wan")),
    ];
    devices.extend(more.devices.iter().cloned());
    let mbufs = more
        .mbufs
        .map(|count| format!("[mbufs]\ncount = {count}\n"));
    // Workers share CPU 1, or CPU 0 where there is no other: these tests are about logic, not
    // speed.
    let cpu = usize::from(std::thread::available_parallelism().map_or(1, usize::from) > 1);
    let worker = |number: u16| {
        let lcore = number + 1;
        let queue = if more.queues_are_swapped {
            workers - 1 - number
        } else {
            number
        };
        let queues: Vec<String> = devices
            .iter()
            .map(|(name, _)| format!("{name} = [{queue}]"))
            .collect();
        let queues = queues.join(", ");
        format!("[[worker]]\nlcore = {lcore}\ncpu = {cpu}\nqueues = {{ {queues} }}\n")
    };
    let device = |(name, vdev): &(&str, String)| {
        let kni = vdev.starts_with("net_af_packet");
        format!("[[device]]\nname = \"{name}\"\nvdev = \"{vdev}\"\nkni = {kni}\n")
    };
    format!(
        "[daemon]\nsocket = \"{}\"\n{}{}\
         [conns]\nmax_per_worker = 65536\nmax_dests = 4096\n\
         [workers]\nidle = \"sleep\"\n{}",
        folder.file("dpvsd.sock").display(),
        mbufs.unwrap_or_default(),
        devices.iter().map(device).collect::<String>(),
        (0..workers).map(worker).collect::<String>()
    )
}

/// An nginx whose page is the real server's name and the client's address. On port 81 the client is
/// the one that the PROXY protocol names.
pub(crate) fn nginx(number: usize, dir: &str) -> String {
    format!(
        "daemon off; pid {dir}/pid; error_log {dir}/error.log; events {{}}
         http {{
             access_log off; client_body_temp_path {dir}; proxy_temp_path {dir};
             fastcgi_temp_path {dir}; uwsgi_temp_path {dir}; scgi_temp_path {dir};
             server {{
                 listen 80; listen [::]:80; listen 8000;
                 location / {{ return 200 \"rs{number} $remote_addr\"; }}
             }}
             server {{
                 listen 81 proxy_protocol; listen [::]:81 proxy_protocol;
                 location / {{ return 200 \"rs{number} $proxy_protocol_addr\"; }}
             }}
         }}"
    )
}
