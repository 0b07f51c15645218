//! What the pages say beyond the arguments.

/// Of the last change to what stands here.
pub(super) const DATE: &str = "2026-11-21";

/// A name and what it means; what stands between backticks is bold.
pub(super) type Entry = (&'static str, &'static str);

const SENDMAIL: &str = "exorelay-sendmail";

/// After sysexits.h, as [`crate::cli::Exit`] has them.
const EXITS: &[Entry] = &[
    ("0", "What was asked for is done."),
    ("1", "It is not, and trying the same again will not help."),
    (
        "2",
        "The arguments make no sense; standard error tells the right usage.",
    ),
    (
        "69",
        "The provider, or the daemon, cannot be reached or refuses.",
    ),
    ("75", "It may work later: try again."),
    (
        "77",
        "This user may not: be root, or a member of the group of the daemon's socket.",
    ),
    (
        "78",
        "The settings cannot be used; every mistake is a line on standard error.",
    ),
];

/// Of `sendmail`, as the programs that call it know them.
const MAIL_EXITS: &[Entry] = &[
    ("0", "The message is queued, durably."),
    (
        "64",
        "The arguments make no sense, or nobody is named to send the message to.",
    ),
    ("65", "An address or the message is malformed."),
    ("67", "Nobody of that name."),
    ("69", "The relay refused the message."),
    ("70", "A defect of the program."),
    ("73", "A file cannot be made."),
    ("74", "The message cannot be read."),
    ("75", "The message is not queued; it may work later."),
    ("77", "This user may not."),
    ("78", "The settings cannot be used."),
];

/// How it ends, over what its description says of that.
pub(super) fn exits(page: &str) -> &'static [Entry] {
    if page == SENDMAIL { MAIL_EXITS } else { EXITS }
}

const FILES: &[Entry] = &[
    (
        "/etc/exorelay/exorelay.toml",
        "The settings, as `exorelay.toml`(5) describes them.",
    ),
    (
        "/var/lib/exorelay",
        "`queue.directory`: the queue and its history (`queue.db`), messages of more than 64 KiB (`content`), the \
         sign-ins of people (`tokens`).",
    ),
    (
        "/run/exorelay/admin.sock",
        "`admin.socket`: where commands ask the daemon. Root and the socket's group may.",
    ),
    (
        "/run/exorelay/sendmail.json",
        "Beside that socket while the daemon runs, for everybody: what `exorelay sendmail` has to know.",
    ),
];

const ENVIRONMENT: &[Entry] = &[
    (
        "EXORELAY_CONFIG",
        "The settings file, unless `--config` names one.",
    ),
    (
        "EXORELAY_SECTION__KEY",
        "Any setting, over the file's, with two underscores between the levels: `EXORELAY_QUEUE__MAX_BYTES=5GiB`.",
    ),
    (
        "CREDENTIALS_DIRECTORY",
        "Where secrets given as `{ credential = NAME }` are; systemd sets it (`LoadCredential=`).",
    ),
    (
        "HTTPS_PROXY, NO_PROXY",
        "How token requests go out, for accounts without `smtp.proxy`.",
    ),
];

const MAIL_ENVIRONMENT: &[Entry] = &[
    (
        "EXORELAY_SENDMAIL_SERVER",
        "Where to hand the message in, and nowhere else: `unix:PATH` or `HOST:PORT`.",
    ),
    (
        "EXORELAY_CONFIG",
        "The settings file, for users that may read it.",
    ),
    (
        "TMPDIR",
        "Where a message of more than 1 MiB is kept while it is read.",
    ),
];

/// Of most commands; exorelay(1) has the rest.
const USUAL_ENVIRONMENT: &[Entry] = &[(
    "EXORELAY_CONFIG",
    "The settings file, unless `--config` names one. `exorelay`(1) tells of other variables.",
)];

const USUAL_FILES: &[Entry] = &[(
    "/etc/exorelay/exorelay.toml",
    "The settings, as `exorelay.toml`(5) describes them. `exorelay`(1) tells of other files.",
)];

/// What a command looks at: variables and files.
pub(super) fn surroundings(page: &str) -> (&'static [Entry], &'static [Entry]) {
    match page {
        "exorelay" | "exorelay-run" => (ENVIRONMENT, FILES),
        SENDMAIL => (MAIL_ENVIRONMENT, FILES),
        // These know no settings.
        "exorelay-completions"
        | "exorelay-demo"
        | "exorelay-hash-password"
        | "exorelay-man"
        | "exorelay-sandbox" => (&[], &[]),
        _ => (USUAL_ENVIRONMENT, USUAL_FILES),
    }
}

/// What the help leaves to the documentation.
pub(super) fn more(page: &str) -> &'static str {
    match page {
        "exorelay" => {
            "Printers, scanners and old applications hand their mail to it over plain SMTP, by default on \
             127.0.0.1:2525. It stores each message durably before it answers 250, and forwards it over STARTTLS with \
             `AUTH XOAUTH2` and a token that it renews by itself.\n\n\
             A first relay is made with `exorelay setup`, tried with `exorelay check` and `exorelay send-test`, and \
             watched with `exorelay status`, `exorelay queue list` and `exorelay history`. Without any settings, \
             `exorelay demo` shows all of it against a stand-in for Exchange Online.\n\n\
             Data goes to standard output, as text or with `--json` for programs; what went wrong to standard error, \
             one line for each thing: what, where, and the remedy."
        }
        SENDMAIL => {
            "The message goes to the running daemon, through the first listener that takes it, and leaves when the \
             queue does. While no daemon answers, root and the daemon's user put it straight into the queue; others \
             get 75. Names without a domain, such as root, are completed and redirected by `[sendmail]` of the \
             settings.\n\n\
             Options may stand behind recipients, up to `--`. Other options of sendmail(8) are taken and have no effect."
        }
        _ => "",
    }
}

/// Command lines and what they do.
pub(super) fn examples(page: &str) -> &'static [Entry] {
    match page {
        "exorelay" => &[
            (
                "exorelay demo --once",
                "Send one message through a relay of its own, and show each step.",
            ),
            (
                "exorelay config check",
                "Find the mistakes in the settings, before the daemon does.",
            ),
            (
                "exorelay status",
                "See whether mail flows, and what keeps it if not.",
            ),
        ],
        "exorelay-check" => &[
            (
                "exorelay check",
                "Try everything but a message, for all accounts.",
            ),
            (
                "exorelay check default --send you@contoso.com",
                "Go on to a real message.",
            ),
            (
                "exorelay check --bundle report.txt",
                "Write what others have to know to help.",
            ),
        ],
        "exorelay-completions" => &[(
            "exorelay completions bash > /usr/share/bash-completion/completions/exorelay",
            "For all users of bash.",
        )],
        "exorelay-hash-password" => &[(
            "exorelay hash-password --user scanner >> /etc/exorelay/users",
            "Let a device sign in as scanner.",
        )],
        "exorelay-history" => &[
            (
                "exorelay history --since 2h --state failed",
                "What was given up in the last two hours, and why.",
            ),
            (
                "exorelay history --to '*@fabrikam.com' --json",
                "All that went to a domain, for a program.",
            ),
        ],
        "exorelay-login" => &[(
            "exorelay login --device",
            "Sign in with a browser on another machine.",
        )],
        "exorelay-man" => &[
            (
                "exorelay man | man -l -",
                "Read exorelay(1) without installing it.",
            ),
            (
                "exorelay man --directory pages; man -l pages/exorelay.toml.5",
                "Read the one of the settings.",
            ),
        ],
        "exorelay-queue-delete" => &[(
            "exorelay queue delete --from ups@contoso.com --older-than 1d",
            "Remove what a device has sent before yesterday.",
        )],
        "exorelay-queue-export" => &[(
            "exorelay queue export --all --directory /root/mail",
            "Save everything that waits or failed.",
        )],
        "exorelay-queue-hold" => &[(
            "exorelay queue hold --account default",
            "Keep an account's mail from leaving.",
        )],
        "exorelay-queue-import" => &[(
            "exorelay queue import --remove /root/mail",
            "Queue what queue export has written, and remove each file once that is done.",
        )],
        "exorelay-queue-list" => &[
            (
                "exorelay queue list --state deferred",
                "What waits for its next attempt, and why.",
            ),
            (
                "exorelay queue list --older-than 4h --json",
                "What waits for long, for a program.",
            ),
        ],
        "exorelay-queue-retry" => &[(
            "exorelay queue retry --state failed --to '*@fabrikam.com'",
            "Try again what was given up, now that its cause is mended.",
        )],
        "exorelay-send-test" => &[(
            "exorelay send-test --to you@contoso.com",
            "Follow a message from the listener to Exchange Online's reply.",
        )],
        SENDMAIL => &[
            (
                "echo test | exorelay sendmail -v you@contoso.com",
                "Send a message and show what the relay says.",
            ),
            (
                "exorelay sendmail -t -i < message.eml",
                "Send a message to those that its header names.",
            ),
        ],
        "exorelay-tls-self-signed" => &[(
            "exorelay tls self-signed --name relay.contoso.local --days 825",
            "A pair in /etc/exorelay, for one name.",
        )],
        "exorelay-token-import" => &[(
            "exorelay token import < refresh-token",
            "Take over the sign-in of another program.",
        )],
        _ => &[],
    }
}
