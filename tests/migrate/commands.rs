//! Commands and scripts of the guides do what they are there for.

use std::fs::{self, FileTimes};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use crate::page::{assert_told, block, blocks, page};
use crate::support::daemon::finish;
use crate::support::machine::{Machine, bare, run};

#[test]
fn the_token_of_sasl_xoauth2_is_found_in_its_file() {
    let page = page("postfix.md");
    let files = block(&page, "# /etc/postfix/sasl_passwd");
    assert!(files.contains("PASSWORD"));
    let mut all = blocks(&page).into_iter();
    let files = all
        .find(|block| block.contains("# /etc/sasl-xoauth2.conf"))
        .unwrap();
    let (_, token) = files
        .split_once("# /var/spool/postfix/etc/tokens/relay@contoso.com\n")
        .unwrap();
    assert!(token.contains("\"refresh_token\": \"1.AXoA...\""));
    let names = files
        .lines()
        .filter_map(|line| line.trim().strip_prefix('"')?.split('"').next());
    assert_told(&page, names, 6);

    let folder = TempDir::new().unwrap();
    let file = folder.path().join("relay@contoso.com");
    // As Python writes it, and as the plug-in does after a renewal.
    for written in [
        token.to_owned(),
        token.replace("    ", "\t").replace("\": ", "\" : "),
    ] {
        fs::write(&file, written).unwrap();
        let command = page
            .lines()
            .find(|line| line.starts_with("sed -n") && line.contains("token import"));
        let (command, _) = command.unwrap().split_once(" | ").unwrap();
        let command = command.replace(
            "/var/spool/postfix/etc/tokens",
            &folder.path().display().to_string(),
        );
        let (code, out, error) = finish(Command::new("sh").arg("-c").arg(command));
        assert_eq!(
            (code, out.as_str(), error.as_str()),
            (Some(0), "1.AXoA...\n", "")
        );
    }
}

/// The files of .NET name sender and recipients in fields of their own, and have their dots doubled.
#[tokio::test]
async fn a_pickup_folder_is_emptied() {
    let machine = Machine::new("").await;
    let _daemon = machine.daemon();
    let folder = TempDir::new().unwrap();
    let drop = |name: &str, content: &str, age: Duration| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        let file = fs::File::options().write(true).open(path).unwrap();
        let times = FileTimes::new().set_modified(SystemTime::now() - age);
        file.set_times(times).unwrap();
    };
    let old = Duration::from_hours(1);
    let net = "X-Sender: app@contoso.com\r\nX-Receiver: a@contoso.com\r\nX-Receiver: b@contoso.com\r\n\
               From: app@contoso.com\r\nTo: a@contoso.com\r\nSubject: net\r\n\r\n..x\r\nX-Sender: text\r\n..\r\nend\r\n";
    drop("a b.eml", net, old);
    drop("unfinished.eml", net, Duration::ZERO);
    drop(
        "refused.eml",
        &net.replace("b@contoso.com", "b@@contoso.com"),
        old,
    );
    pick_up(&machine, folder.path()).await;
    let (from, to, content) = machine.delivered(0).await;
    assert_eq!(
        (from.as_str(), to),
        (
            "app@contoso.com",
            vec!["a@contoso.com".into(), "b@contoso.com".into()]
        )
    );
    assert!(!content.contains("X-Receiver"), "{content}");
    assert!(
        content.ends_with("\r\n\r\n.x\r\nX-Sender: text\r\n.\r\nend\r\n"),
        "{content}"
    );
    assert_eq!(names(folder.path()), ["bad", "unfinished.eml"]);
    assert_eq!(names(&folder.path().join("bad")), ["refused.eml"]);

    let plain =
        "From: \"App, The\" <app@contoso.com>\nTo: a@contoso.com\nBcc: c@contoso.com\n\ntext\n";
    drop("plain.eml", plain, old);
    pick_up(&machine, folder.path()).await;
    let (from, to, content) = machine.delivered(1).await;
    assert_eq!(
        (from.as_str(), to),
        (
            "app@contoso.com",
            vec!["a@contoso.com".into(), "c@contoso.com".into()]
        )
    );
    assert!(!content.contains("Bcc"), "{content}");
    assert_eq!(names(folder.path()), ["bad", "unfinished.eml"]);
}

/// Runs the script of the guide.
async fn pick_up(machine: &Machine, folder: &Path) {
    let binary = Path::new(env!("CARGO_BIN_EXE_exorelay")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let mut command = bare(Path::new("sh"), &["-s", &folder.display().to_string()]);
    command
        .env("PATH", path)
        .env("EXORELAY_CONFIG", machine.config());
    let output = run(command, &block(&page("iis.md"), "#!/bin/sh")).await;
    assert!(output.status.success());
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut names: Vec<PathBuf> = paths.collect();
    names.sort();
    let name = |path: PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    names.into_iter().map(name).collect()
}
