//! The store fails while the gateway runs: a full disk, in a small file system of its own. Where none
//! can be mounted, the test says so and passes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{Manner, World, eventually};

pub(crate) struct SmallDisk {
    dir: TempDir,
}

impl SmallDisk {
    pub(crate) fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mount = ["-t", "tmpfs", "-o", "size=2m", "tmpfs"];
        let mounted = Command::new("mount").args(mount).arg(dir.path()).output();
        if !mounted.is_ok_and(|output| output.status.success()) {
            println!("skipped: a small file system cannot be mounted here");
            return None;
        }
        Some(Self { dir })
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }

    pub(crate) fn fill(&self) {
        use std::io::Write as _;
        let mut file = std::fs::File::create(self.filler()).unwrap();
        for size in [4096, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    }

    pub(crate) fn free(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the gateway may hold its files for a moment longer.
        let _ = Command::new("umount").arg("-l").arg(self.path()).output();
    }
}

/// The disk is full: posts until the store takes no more. Every event that is acknowledged is there.
async fn exhaust(world: &World) {
    let mut acknowledged = 0;
    for number in 0.. {
        match world.poke(&format!("absent-{number}"), "t").await {
            200 => acknowledged += 1,
            status => {
                assert_eq!(status, 503);
                break;
            }
        }
        assert!(number < 5_000, "the disk is never full");
    }
    let held = world.gateway.deliveries("live").await;
    let absent = |item: &&serde_json::Value| item["openKfId"].as_str().unwrap().starts_with("absent-");
    assert_eq!(held.iter().filter(absent).count(), acknowledged, "never a false acknowledgement");
}

#[tokio::test]
async fn a_full_disk_stops_no_delivery_and_acknowledges_nothing_falsely() {
    let Some(disk) = SmallDisk::mount() else { return };
    let data = disk.path().join("data");
    let world = World::start(&[("DATA_DIR", data.to_str().unwrap())]).await;
    for kf in ["good", "refusing", "slow"] {
        world.register(kf).await;
    }
    world.bots.one("refusing", Manner::Refuse);
    world.bots.one("slow", Manner::TakeAfter(Duration::from_millis(1_500)));
    disk.fill();
    exhaust(&world).await;

    assert_eq!(world.poke("good", "t1").await, 200, "deliveries go on");
    assert_eq!(world.bots.taken("good"), [Some("t1".to_owned())]);
    assert_eq!(world.poke("slow", "t1").await, 200, "by the bot's own answer, as nothing can be stored");
    let began = Instant::now();
    assert_eq!(world.poke("refusing", "t1").await, 503);
    assert_eq!(world.poke("refusing", "t2").await, 503, "an attempt is made although it backs off");
    assert_eq!(world.bots.sent("refusing").len(), 2);
    assert!(began.elapsed() < Duration::from_secs(9));
    world.bots.one("refusing", Manner::Take);
    assert_eq!(world.poke("refusing", "t3").await, 200);

    disk.free();
    let recovered = eventually(Duration::from_secs(10), async || world.poke("absent-again", "t1").await == 200).await;
    assert!(recovered, "{}", world.gateway.log());
    world.register("absent-again").await;
    world.takes("absent-again", "t1", Duration::from_secs(5)).await;
}
