//! exorelay: see the library's documentation.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything that could speak TLS: libraries that build their own configuration panic without.
    exorelay::tls::install_provider();
    exorelay::cli::main()
}
