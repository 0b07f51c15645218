//! The text format of Prometheus, read strictly: what a lenient reader would pass is an error here.

#![allow(clippy::float_cmp, reason = "what is counted is whole")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::within;

#[derive(Debug, Default)]
pub struct Exposition {
    pub families: BTreeMap<String, Family>,
}

#[derive(Debug)]
pub struct Family {
    pub kind: String,
    pub samples: Vec<Sample>,
}

#[derive(Debug)]
pub struct Sample {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

impl Exposition {
    /// What the admin socket shows.
    pub async fn of_socket(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).await.unwrap();
        Self::fetch(stream, "localhost").await
    }

    /// What `admin.http` shows.
    pub async fn of_http(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        Self::fetch(stream, &address.to_string()).await
    }

    async fn fetch(mut stream: impl AsyncRead + AsyncWrite + Unpin, host: &str) -> Self {
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        within("the metrics", stream.read_to_string(&mut answer))
            .await
            .unwrap();
        let (head, text) = answer.split_once("\r\n\r\n").unwrap();
        let head = head.to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 200 "), "{head}");
        let kind = "\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8";
        assert!(head.contains(kind), "{head}");
        assert!(
            head.contains(&format!("\r\ncontent-length: {}", text.len())),
            "{head}"
        );
        Self::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    /// What is wrong, with its line.
    pub fn parse(text: &str) -> Result<Self, String> {
        if !text.ends_with('\n') {
            return Err("the last line has no end".into());
        }
        let mut page = Self::default();
        // The name of the family that the lines belong to, whether it has a type, and the type.
        let mut open: Option<(String, Option<String>)> = None;
        for line in text.lines() {
            let wrong = |what: &str| Err(format!("{what}: {line}"));
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let Some((name, help)) = rest.split_once(' ') else {
                    return wrong("no help");
                };
                if !is_name(name, true) || help.is_empty() || unescape(help, false).is_none() {
                    return wrong("bad HELP");
                }
                if page.families.contains_key(name) {
                    return wrong("a family in two parts");
                }
                open = Some((name.to_owned(), None));
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let Some((name, kind)) = rest.split_once(' ') else {
                    return wrong("no type");
                };
                match &mut open {
                    Some((open, known @ None)) if open == name => *known = Some(kind.to_owned()),
                    _ => return wrong("a TYPE that does not follow its HELP"),
                }
                if !["counter", "gauge", "histogram"].contains(&kind) {
                    return wrong("unknown type");
                }
                if (kind == "counter") != name.ends_with("_total") {
                    return wrong("counters, and nothing else, end with _total");
                }
                let family = Family {
                    kind: kind.to_owned(),
                    samples: Vec::new(),
                };
                page.families.insert(name.to_owned(), family);
            } else {
                let sample = Sample::parse(line).ok_or_else(|| format!("no sample: {line}"))?;
                let Some((name, Some(kind))) = &open else {
                    return wrong("a sample without HELP and TYPE");
                };
                let suffix = sample.name.strip_prefix(name.as_str());
                let is_its_own = match kind.as_str() {
                    "histogram" => matches!(suffix, Some("_bucket" | "_sum" | "_count")),
                    _ => suffix == Some(""),
                };
                if !is_its_own {
                    return wrong("a sample of another family");
                }
                if sample.value.is_nan() || sample.value < 0.0 || sample.value.is_infinite() {
                    return wrong("a value that nothing here has");
                }
                page.families.get_mut(name).unwrap().samples.push(sample);
            }
        }
        for (name, family) in &page.families {
            family.check().map_err(|what| format!("{name}: {what}"))?;
        }
        Ok(page)
    }

    /// The sample with exactly these labels.
    pub fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let wanted: BTreeMap<_, _> = labels.iter().copied().collect();
        let mut samples = self.samples(name);
        let is_it = |sample: &&Sample| {
            let labels = sample.labels.iter();
            let labels: BTreeMap<_, _> = labels.map(|(k, v)| (k.as_str(), v.as_str())).collect();
            labels == wanted
        };
        samples.find(is_it).map(|sample| sample.value)
    }

    /// As [`Exposition::get`], and there must be one.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let found = self.get(name, labels);
        found.unwrap_or_else(|| panic!("no {name} with {labels:?} in {self:#?}"))
    }

    /// Of all samples that have these labels among theirs.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |sample: &&Sample| {
            let mut labels = labels.iter();
            labels.all(|(label, value)| sample.labels.get(*label).is_some_and(|it| it == value))
        };
        self.samples(name)
            .filter(has)
            .map(|sample| sample.value)
            .sum()
    }

    /// Each family as `name{label,label}`; of a histogram without `le`.
    pub fn signatures(&self) -> BTreeSet<String> {
        let signature = |(name, family): (&String, &Family)| {
            let labels = family.samples[0].labels.keys();
            let labels: Vec<_> = labels
                .filter(|label| *label != "le")
                .map(String::as_str)
                .collect();
            match labels.as_slice() {
                [] => name.clone(),
                labels => format!("{name}{{{}}}", labels.join(",")),
            }
        };
        self.families.iter().map(signature).collect()
    }

    fn samples(&self, name: &str) -> impl Iterator<Item = &Sample> {
        let all = self.families.values().flat_map(|family| &family.samples);
        all.filter(move |sample| sample.name == name)
    }
}

impl Family {
    fn check(&self) -> Result<(), String> {
        let mut seen = BTreeSet::new();
        for sample in &self.samples {
            if !seen.insert((&sample.name, &sample.labels)) {
                return Err(format!("{:?} twice", sample.labels));
            }
        }
        if self.kind == "histogram" {
            return self.check_histogram();
        }
        let mut labels = self
            .samples
            .iter()
            .map(|sample| sample.labels.keys().collect::<Vec<_>>());
        let first = labels.next().ok_or("no sample")?;
        if labels.any(|labels| labels != first) {
            return Err("labels that differ".into());
        }
        Ok(())
    }

    /// One without labels of its own, which is all that there is.
    fn check_histogram(&self) -> Result<(), String> {
        let of = |suffix: &str| {
            let samples = self.samples.iter();
            let samples = samples.filter(|sample| sample.name.ends_with(suffix));
            samples.collect::<Vec<_>>()
        };
        let (sums, counts) = (of("_sum"), of("_count"));
        let ([sum], [count]) = (sums.as_slice(), counts.as_slice()) else {
            return Err("not one sum and one count".into());
        };
        if !sum.labels.is_empty() || !count.labels.is_empty() {
            return Err("labels of sum or count".into());
        }
        let (mut bound, mut below) = (f64::NEG_INFINITY, 0.0);
        for bucket in of("_bucket") {
            let mut labels = bucket.labels.iter();
            let Some(("le", le)) = labels.next().map(|(k, v)| (k.as_str(), v)) else {
                return Err("a bucket without le".into());
            };
            let le = number(le).ok_or("le is no number")?;
            if le <= bound || bucket.value < below || labels.next().is_some() {
                return Err(format!("bucket {le}"));
            }
            (bound, below) = (le, bucket.value);
        }
        if bound != f64::INFINITY || below != count.value {
            return Err("the last bucket does not hold all".into());
        }
        Ok(())
    }
}

impl Sample {
    fn parse(line: &str) -> Option<Self> {
        let end = line.find(['{', ' '])?;
        let (name, mut rest) = line.split_at(end);
        let mut labels = BTreeMap::new();
        if let Some(mut inside) = rest.strip_prefix('{') {
            loop {
                let (label, value) = inside.split_once("=\"")?;
                let end = closing_quote(value)?;
                let value = (&value[..end], &value[end + 1..]);
                let known = labels.insert(label.to_owned(), unescape(value.0, true)?);
                if !is_name(label, false) || label.starts_with("__") || known.is_some() {
                    return None;
                }
                if let Some(after) = value.1.strip_prefix('}') {
                    rest = after;
                    break;
                }
                inside = value.1.strip_prefix(',')?;
            }
        }
        // No timestamp: what is shown is what is so now.
        let value = number(rest.strip_prefix(' ')?)?;
        is_name(name, true).then(|| Self {
            name: name.to_owned(),
            labels,
            value,
        })
    }
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' if !is_escaped => return Some(at),
            c => is_escaped = c == '\\' && !is_escaped,
        }
    }
    None
}

fn unescape(text: &str, in_quotes: bool) -> Option<String> {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        plain.push(match c {
            '\\' => match chars.next()? {
                '\\' => '\\',
                'n' => '\n',
                '"' if in_quotes => '"',
                _ => return None,
            },
            '"' if in_quotes => return None,
            c => c,
        });
    }
    Some(plain)
}

/// Only what needs no second thought: no hexadecimal, no underscores, no `inf` in other letters.
fn number(text: &str) -> Option<f64> {
    if text == "+Inf" {
        return Some(f64::INFINITY);
    }
    let plain = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | 'e');
    text.chars().all(plain).then(|| text.parse().ok())?
}

fn is_name(name: &str, colons: bool) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_' || (colons && c == ':');
    name.starts_with(first) && name.chars().all(|c| first(c) || c.is_ascii_digit())
}
