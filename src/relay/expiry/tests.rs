//! The calendar, turned by hand.

use tempfile::TempDir;
use tokio::sync::watch;

use super::*;
use crate::config;
use crate::delivery::{self, Quota};
use crate::oauth::{TokenSource, TokenStatus};
use crate::queue::{Incident, Queue};
use crate::relay::{AccountView, Handle};

fn settings(folder: &Path) -> config::Settings {
    let text = format!(
        "[queue]\ndirectory = \"{}\"\n[account.default]\nmailbox = \"relay@contoso.com\"\n\
         tenant_id = \"contoso.com\"\nclient_id = \"11111111-2222-3333-4444-555555555555\"\n\
         client_secret = \"s\"\n",
        folder.display()
    );
    let loaded = config::load_text(Path::new("x"), &text, std::iter::empty(), &[]);
    loaded.unwrap().settings
}

/// A queue with the relay's own settings.
fn queue(folder: &TempDir) -> Queue {
    Queue::open(settings(folder.path()).queue_part()).unwrap()
}

fn handle() -> Handle {
    let settings = settings(Path::new("/nonexistent"));
    let part = settings.oauth_part(&settings.accounts["default"]).unwrap();
    Handle::idle(TokenSource::new(part).unwrap())
}

fn account(name: &str, expires: Option<Date>, certificate: Option<&str>) -> AccountView {
    AccountView {
        name: name.into(),
        mailbox: "relay@contoso.com".into(),
        host: "smtp.office365.com".into(),
        delivery: watch::channel(delivery::Status::default()).1,
        quota: Quota::default(),
        token: watch::channel(TokenStatus::Starting).1,
        sign_in: None,
        handle: handle(),
        perishable: Perishable {
            expires,
            certificate: certificate.map(PathBuf::from),
        },
    }
}

fn shown(accounts: Vec<AccountView>) -> Shown {
    Shown {
        accounts,
        ..Shown::default()
    }
}

/// By the setting alone.
fn until(on: Date) -> BTreeMap<String, End> {
    let accounts = vec![account("default", Some(on), None)];
    ends(&shown(accounts), &BTreeMap::new(), &TimeZone::UTC)
}

fn open(queue: &Queue) -> Option<Incident> {
    let mut open = queue.incidents().open();
    assert!(open.len() <= 1, "{open:?}");
    open.pop()
}

const END: Date = date(2027, 5, 1);

#[tokio::test]
async fn a_warning_comes_thirty_days_before_and_once_a_day() {
    let folder = TempDir::new().unwrap();
    let queue = queue(&folder);
    let incidents = queue.incidents();
    let look = |today: Date| look(&incidents, &until(END), today).len();
    assert_eq!(look(date(2027, 3, 31)), 0);
    assert!(open(&queue).is_none());

    assert_eq!(look(date(2027, 4, 1)), 1);
    let first = open(&queue).unwrap();
    let finding = &first.finding;
    assert_eq!(
        (finding.account.as_str(), finding.state.as_str()),
        ("default", "warning")
    );
    assert_eq!(
        finding.reason,
        "the credential runs out on 2027-05-01, in 30 days (credential_expires)"
    );
    assert_eq!(finding.urgency, Urgency::Urgent);
    assert_eq!(look(date(2027, 4, 1)), 0, "once a day");
    assert_eq!(look(date(2027, 4, 2)), 1);
    assert_eq!(look(END), 1);
    assert_eq!(open(&queue).unwrap().finding.state, "warning");
    assert_eq!(look(date(2027, 5, 2)), 1);
    let last = open(&queue).unwrap();
    assert_eq!((last.id, last.count), (first.id, 4));
    assert_eq!(last.finding.state, "expired");
}

#[tokio::test]
async fn a_restart_on_the_same_day_says_nothing_again() {
    let folder = TempDir::new().unwrap();
    let today = date(2027, 4, 20);
    let before = queue(&folder);
    assert_eq!(look(&before.incidents(), &until(END), today).len(), 1);
    let id = open(&before).unwrap().id;
    before.incidents().stored().await.unwrap();
    tokio::task::spawn_blocking(move || before.close())
        .await
        .unwrap();
    let after = queue(&folder);
    assert_eq!(look(&after.incidents(), &until(END), today).len(), 0);
    assert_eq!(open(&after).unwrap().id, id);
}

#[tokio::test]
async fn it_is_over_when_the_date_is_a_later_one_or_nobody_knows_it() {
    let folder = TempDir::new().unwrap();
    let queue = queue(&folder);
    let incidents = queue.incidents();
    let today = date(2027, 4, 20);
    for replaced in [until(date(2028, 5, 1)), BTreeMap::new()] {
        look(&incidents, &until(END), today);
        assert!(open(&queue).is_some());
        assert_eq!(look(&incidents, &replaced, today), ["default"]);
        assert!(open(&queue).is_none());
    }
}

#[tokio::test]
async fn a_clock_that_nobody_can_have_set_right_says_and_ends_nothing() {
    let folder = TempDir::new().unwrap();
    let queue = queue(&folder);
    let incidents = queue.incidents();
    for absurd in [date(1970, 1, 1), date(2099, 1, 1)] {
        assert!(look(&incidents, &until(END), absurd).is_empty());
    }
    assert!(open(&queue).is_none());
    look(&incidents, &until(END), date(2027, 4, 20));
    for absurd in [date(1970, 1, 1), date(2099, 1, 1)] {
        look(&incidents, &BTreeMap::new(), absurd);
        assert_eq!(open(&queue).unwrap().count, 1);
    }
}

#[tokio::test]
async fn a_certificates_own_end_counts_and_survives_a_moment_without_the_file() {
    let end = |path: &Path| match path.to_str()? {
        "/app.pem" => "2027-05-01T10:00:00Z".parse().ok(),
        _ => None,
    };
    let accounts = vec![
        account("both", Some(date(2027, 6, 1)), Some("/app.pem")),
        account("first", Some(date(2027, 4, 1)), Some("/app.pem")),
        account("neither", None, Some("/gone.pem")),
    ];
    let shown = shown(accounts);
    let known = read(&shown, BTreeMap::new(), end).await;
    let found = ends(&shown, &known, &TimeZone::UTC);
    let ends_on = |account: &str| found.get(account).map(|end| end.on);
    assert_eq!(ends_on("both"), Some(END));
    assert_eq!(ends_on("first"), Some(date(2027, 4, 1)));
    assert_eq!(ends_on("neither"), None);
    let finding = finding("both", found.get("both").unwrap(), date(2027, 4, 30));
    assert_eq!(
        finding.reason,
        "the certificate /app.pem runs out on 2027-05-01, tomorrow"
    );

    let later = read(&shown, known.clone(), |_| None).await;
    assert_eq!(later, known);
    let replaced = read(&shown, known, |_| "2028-05-01T10:00:00Z".parse().ok()).await;
    let found = ends(&shown, &replaced, &TimeZone::UTC);
    assert_eq!(found.get("both").unwrap().on, date(2027, 6, 1));
}
