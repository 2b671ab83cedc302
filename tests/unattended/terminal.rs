//! A terminal that goes away.

use std::fs::{self, File};
use std::io::Read;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::common::{WorkingDir, command};

#[test]
fn a_terminal_that_is_closed_in_the_midst_of_a_bar_does_not_end_a_run() {
    let working_dir = WorkingDir::small();
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let terminal = || -> Stdio {
        let flags = OFlags::RDWR | OFlags::NOCTTY;
        open(&*name, flags, Mode::empty()).unwrap().into()
    };
    let mut child = command(&working_dir.path(""))
        .env("TERM", "xterm")
        .stdin(terminal())
        .stdout(terminal())
        .stderr(terminal())
        .spawn()
        .unwrap();

    // The terminal shows a bar before it goes.
    let mut master = File::from(master);
    let mut shown = String::new();
    let mut block = [0; 4096];
    while !shown.contains("left") {
        let n = master.read(&mut block).unwrap();
        shown += &String::from_utf8_lossy(&block[..n]);
    }
    drop(master);

    let begin = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(begin.elapsed() < Duration::from_secs(120));
        thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(status.code(), Some(0));
    assert!(fs::exists(working_dir.path("TrainedModels/model.pth")).unwrap());
}
