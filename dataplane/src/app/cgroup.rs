//! The memory that control groups leave to this process.

/// The files of a kind of control group, and their folder.
struct Kind {
    folder: &'static str,
    limit: &'static str,
    usage: &'static str,
    /// The name of the page cache that the kernel takes back first, in `memory.stat`.
    cache: &'static str,
}

/// Version 2 of control groups.
const V2: Kind = Kind {
    folder: "sys/fs/cgroup",
    limit: "memory.max",
    usage: "memory.current",
    cache: "inactive_file",
};
/// Version 1.
const V1: Kind = Kind {
    folder: "sys/fs/cgroup/memory",
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    cache: "total_inactive_file",
};

/// Bytes that this process may still use: the least that its control group and the groups around it
/// leave. `None` if no group has a limit. `read` reads a file below the root folder.
pub(super) fn free_memory(read: &impl Fn(&str) -> Option<String>) -> Option<u64> {
    let groups = read("proc/self/cgroup")?;
    let free = groups.lines().filter_map(|line| {
        // NUMBER:CONTROLLERS:PATH, see cgroups(7). Version 2 has no list of controllers.
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        let kind = match controllers {
            "" => &V2,
            list if list.split(',').any(|name| name == "memory") => &V1,
            _ => return None,
        };
        kind.free_memory(path, read)
    });
    free.min()
}

impl Kind {
    /// Of the group at `path`, and of all groups around it.
    fn free_memory(&self, path: &str, read: &impl Fn(&str) -> Option<String>) -> Option<u64> {
        let ends = path.match_indices('/').map(|(at, _)| at);
        let ends = ends.chain([path.len()]);
        let groups = ends.map(|end| format!("{}{}", self.folder, &path[..end]));
        groups.filter_map(|group| self.left_in(&group, read)).min()
    }

    fn left_in(&self, group: &str, read: &impl Fn(&str) -> Option<String>) -> Option<u64> {
        let number = |name: &str| read(&format!("{group}/{name}"))?.parse::<u64>().ok();
        // Without a limit the file says "max".
        let limit = number(self.limit)?;
        let used = number(self.usage)?;
        let stat = read(&format!("{group}/memory.stat")).unwrap_or_default();
        let cache = stat.lines().find_map(|line| {
            let (name, bytes) = line.split_once(' ')?;
            (name == self.cache).then(|| bytes.parse::<u64>().ok())?
        });
        Some(limit.saturating_sub(used.saturating_sub(cache.unwrap_or(0))))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn free(files: &[(&str, &str)]) -> Option<u64> {
        let files: BTreeMap<&str, &str> = files.iter().copied().collect();
        free_memory(&|path| files.get(path).map(|text| (*text).to_owned()))
    }

    #[test]
    fn the_tightest_group_decides_and_cache_counts_as_free() {
        let files = [
            ("proc/self/cgroup", "0::/system.slice/dpvsd.service"),
            ("sys/fs/cgroup/system.slice/memory.max", "1000"),
            ("sys/fs/cgroup/system.slice/memory.current", "900"),
            (
                "sys/fs/cgroup/system.slice/memory.stat",
                "anon 300\ninactive_file 600",
            ),
            ("sys/fs/cgroup/system.slice/dpvsd.service/memory.max", "max"),
            (
                "sys/fs/cgroup/system.slice/dpvsd.service/memory.current",
                "5",
            ),
        ];
        assert_eq!(free(&files), Some(700));
    }

    #[test]
    fn version_1_has_other_names_and_a_container_sees_its_group_as_the_root() {
        let files = [
            ("proc/self/cgroup", "4:cpu,memory:/docker/7\n0::/"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "500"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "100"),
        ];
        assert_eq!(free(&files), Some(400));
        assert_eq!(free(&[("proc/self/cgroup", "0::/")]), None);
        assert_eq!(free(&[]), None);
    }
}
