//! Where the lab's Asterisk comes from: one that is named or installed, else Debian's packages in a folder of our own.
//!
//! Owns that folder. Refuses to touch the system: a private apt state downloads the package with everything it needs, the
//! C library included, and the packages are unpacked, not installed. The program runs by the loader that came with it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

use crate::program::tied;

/// The oldest version whose AMI and PJSIP have what Callhop uses (issue 4).
const OLDEST: u32 = 20;
/// The Debian suite that has Asterisk 22.
const SUITE: &str = "forky";

/// An Asterisk that can be started.
#[derive(Debug, Clone)]
pub struct Program {
    /// The program and, before it, the loader and its library folder where it has its own.
    words: Vec<PathBuf>,
    /// Its modules.
    pub modules: PathBuf,
    /// Its documentation and sounds.
    pub data: PathBuf,
    /// What it says of itself.
    pub version: String,
}

impl Program {
    /// The beginning of every command that runs it.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = tied(&self.words[0]);
        command.args(&self.words[1..]);
        command
    }

    /// Looks around the program for what it needs, and asks it for its version.
    fn at(program: &Path) -> Result<Self> {
        let base = program
            .parent()
            .and_then(Path::parent)
            .context("a program in a folder")?;
        let lib = base.join("lib");
        let mut folders = vec![lib.clone()];
        folders.extend(entries(&lib));
        let modules = folders
            .iter()
            .map(|folder| folder.join("asterisk/modules"))
            .find(|folder| folder.is_dir())
            .with_context(|| format!("{} has no asterisk/modules", lib.display()))?;
        let data = [
            base.join("share/asterisk"),
            base.join("../var/lib/asterisk"),
        ];
        let data = data
            .into_iter()
            .find(|folder| folder.is_dir())
            .with_context(|| format!("{} has no share/asterisk", base.display()))?;
        // A C library beside it, and not the system's own, wants the loader that belongs to it.
        let libraries = folders
            .into_iter()
            .find(|folder| folder.join("libc.so.6").exists());
        let loaders = [base.join("lib64"), lib];
        let loader = loaders
            .iter()
            .flat_map(|folder| entries(folder))
            .find(|file| name(file).starts_with("ld-linux"));
        let words = match (libraries, loader) {
            (Some(libraries), Some(loader)) if base != Path::new("/usr") => vec![
                loader,
                "--library-path".into(),
                libraries,
                program.to_owned(),
            ],
            _ => vec![program.to_owned()],
        };
        let mut found = Self {
            words,
            modules,
            data,
            version: String::new(),
        };
        let said = found.command().arg("-V").output()?;
        found.version = String::from_utf8_lossy(&said.stdout).trim().to_owned();
        let major = found
            .version
            .strip_prefix("Asterisk ")
            .and_then(|rest| rest.split(['.', '~', '-']).next()?.parse::<u32>().ok());
        ensure!(
            major.is_some_and(|major| major >= OLDEST),
            "{} -V says {:?}{}, and Callhop wants Asterisk {OLDEST} or later",
            program.display(),
            found.version,
            String::from_utf8_lossy(&said.stderr).trim()
        );
        Ok(found)
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(folder).into_iter().flatten().flatten();
    all.map(|entry| entry.path()).collect()
}

fn name(file: &Path) -> String {
    file.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// `CALLHOP_ASTERISK` (the program, or the prefix it was put into), else one on `PATH`, else Debian's in
/// `target/asterisk`, which is put there now if it is not there yet.
///
/// # Errors
/// When the one that is named can't be used, or none can be had; in one line.
pub fn find(target: &Path) -> Result<Program> {
    if let Some(named) = env::var_os("CALLHOP_ASTERISK").map(PathBuf::from) {
        let candidates = [
            named.join("usr/sbin/asterisk"),
            named.join("sbin/asterisk"),
            named.clone(),
        ];
        let program = candidates.iter().find(|candidate| candidate.is_file());
        let program = program.with_context(|| {
            format!(
                "CALLHOP_ASTERISK: there is no Asterisk in {}",
                named.display()
            )
        })?;
        return Program::at(program).context("CALLHOP_ASTERISK");
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let installed = env::split_paths(&path).map(|folder| folder.join("asterisk"));
    for program in installed.filter(|program| program.is_file()) {
        match Program::at(&program) {
            Ok(found) => return Ok(found),
            Err(error) => println!("not used: {error:#}"),
        }
    }
    let prefix = target.join("asterisk");
    if !prefix.exists() {
        println!("== putting Debian's Asterisk into {}", prefix.display());
        install(&prefix).with_context(|| {
            format!(
                "no Asterisk: Debian's could not be put into {}; CALLHOP_ASTERISK may name another one",
                prefix.display()
            )
        })?;
    }
    Program::at(&prefix.join("usr/sbin/asterisk"))
}

/// The folder appears under its name when it is complete.
fn install(prefix: &Path) -> Result<()> {
    let part = prefix.with_extension(format!("part-{}", std::process::id()));
    let done = fill(&part);
    if done.is_ok() && !prefix.exists() {
        fs::rename(&part, prefix)?;
    } else if part.exists() {
        fs::remove_dir_all(&part)?;
    }
    done
}

fn fill(prefix: &Path) -> Result<()> {
    let apt = prefix.join("apt");
    for sub in ["state/lists/partial", "cache/archives/partial", "etc"] {
        fs::create_dir_all(apt.join(sub))?;
    }
    // Nothing is installed, as far as this apt knows: so it gets all that Asterisk needs.
    fs::write(apt.join("state/status"), "")?;
    let mirror = mirror()?;
    fs::write(
        apt.join("etc/sources.list"),
        format!(
            "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {mirror} {SUITE} main\n"
        ),
    )?;
    let options = [
        format!("Dir::State={}", apt.join("state").display()),
        format!("Dir::State::status={}", apt.join("state/status").display()),
        format!("Dir::Cache={}", apt.join("cache").display()),
        format!(
            "Dir::Etc::sourcelist={}",
            apt.join("etc/sources.list").display()
        ),
        "Dir::Etc::sourceparts=-".to_owned(),
        "Dir::Etc::preferences=-".to_owned(),
        "Dir::Etc::preferencesparts=-".to_owned(),
        "APT::Install-Recommends=false".to_owned(),
        // The download user of apt may not write into our folder.
        "APT::Sandbox::User=root".to_owned(),
        "Acquire::Languages=none".to_owned(),
        "Acquire::Retries=3".to_owned(),
    ];
    for arguments in [
        &["update"][..],
        &["install", "--yes", "--download-only", "asterisk"],
    ] {
        let mut command = Command::new("apt-get");
        command.arg("--quiet").args(arguments);
        options.iter().for_each(|option| {
            command.args(["-o", option]);
        });
        run(&mut command)?;
    }
    // As Debian merges them, so that no package puts anything beside them.
    for folder in ["bin", "sbin", "lib", "lib64"] {
        fs::create_dir_all(prefix.join("usr").join(folder))?;
        std::os::unix::fs::symlink(Path::new("usr").join(folder), prefix.join(folder))?;
    }
    for package in entries(&apt.join("cache/archives")) {
        if package.extension().is_some_and(|ending| ending == "deb") {
            unpack(&package, prefix)?;
        }
    }
    // What the package's own script would do.
    let sounds = prefix.join("usr/share/asterisk/sounds");
    if sounds.join("en_US_f_Allison").is_dir() && !sounds.join("en").exists() {
        std::os::unix::fs::symlink("en_US_f_Allison", sounds.join("en"))?;
    }
    fs::remove_dir_all(&apt)?;
    Ok(())
}

fn unpack(package: &Path, prefix: &Path) -> Result<()> {
    let mut archive = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(package)
        .stdout(Stdio::piped())
        .spawn()
        .context("starting dpkg-deb")?;
    let bytes = archive.stdout.take().context("dpkg-deb without output")?;
    let mut tar = Command::new("tar");
    tar.args([
        "--extract",
        "--keep-directory-symlink",
        "--no-same-owner",
        "--directory",
    ])
    .arg(prefix)
    .stdin(bytes);
    run(&mut tar)?;
    ensure!(
        archive.wait()?.success(),
        "dpkg-deb can't read {}",
        package.display()
    );
    Ok(())
}

/// Where this machine gets Debian from: the first source of apt that is no mirror of security updates.
fn mirror() -> Result<String> {
    let mut files = entries(Path::new("/etc/apt/sources.list.d"));
    files.sort();
    files.push("/etc/apt/sources.list".into());
    for file in files {
        let text = fs::read_to_string(&file).unwrap_or_default();
        for line in text.lines().map(str::trim) {
            // `URIs: http://...` in one format, `deb [options] http://... suite` in the other.
            if !line.starts_with("URIs:") && !line.starts_with("deb ") {
                continue;
            }
            let mut words = line.split_whitespace();
            let address = words.find(|word| word.contains("://"));
            if let Some(address) = address.filter(|it| !it.contains("security")) {
                return Ok(address.trim_end_matches('/').to_owned());
            }
        }
    }
    bail!("the sources of apt on this machine name no Debian mirror")
}

fn run(command: &mut Command) -> Result<()> {
    let output = command
        .env("LC_ALL", "C")
        .output()
        .with_context(|| format!("starting {:?}", command.get_program()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().last().unwrap_or_default();
        bail!("{:?} failed: {last}", command.get_program());
    }
    Ok(())
}
