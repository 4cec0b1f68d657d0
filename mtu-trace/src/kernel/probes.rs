//! Programs at the kernel's functions: by fentry and fexit, or by kprobe and kretprobe.

use std::{
    io,
    path::{Path, PathBuf},
};

use aya::{
    Btf, BtfError, Ebpf, Endianness,
    programs::{Program, ProgramError},
};

use crate::kernel::{
    hooks::{Mechanism, Way},
    load::{program, reason},
};

/// What attaching takes, and what has become of it so far.
pub struct Probes {
    btf: PathBuf,
    /// The kernel's types as the loader has them, once they were asked for.
    types: Option<Result<Btf, String>>,
    /// Facilities that the kernel does not have at all, and why: to try each function takes a while.
    absent: Vec<(Mechanism, String)>,
}

/// Why a program is not where it should be.
enum Refusal {
    /// It cannot be there.
    Function(String),
    /// No program of its kind can be anywhere.
    Facility(String),
}

impl Probes {
    /// With the kernel's types from this file.
    pub fn new(btf: &Path) -> Self {
        Self {
            btf: btf.to_owned(),
            types: None,
            absent: Vec::new(),
        }
    }

    /// Loads and attaches the programs of one way. If one of them cannot be, none stays.
    pub fn attach(&mut self, ebpf: &mut Ebpf, way: &Way) -> Result<(), String> {
        let facility = way.mechanism.facility();
        if let Some((_, why)) = self.absent.iter().find(|(absent, _)| *absent == facility) {
            return Err(why.clone());
        }
        let attached = way
            .programs
            .iter()
            .try_for_each(|name| self.one(ebpf, name, way.target));
        let Err(refusal) = attached else {
            return Ok(());
        };
        for name in way.programs {
            // Of several, that is; one that was never loaded says so.
            if let Some(Program::KProbe(program)) = ebpf.program_mut(name) {
                let _not_loaded = program.unload();
            }
        }
        Err(match refusal {
            Refusal::Function(why) => why,
            Refusal::Facility(why) => {
                self.absent.push((facility, why.clone()));
                why
            }
        })
    }

    fn one(&mut self, ebpf: &mut Ebpf, name: &str, function: &str) -> Result<(), Refusal> {
        let program = program(ebpf, name).map_err(|error| Refusal::Function(reason(&error)))?;
        let attached = match program {
            Program::FEntry(program) => program
                .load(function, self.types()?)
                .and_then(|()| program.attach().map(drop)),
            Program::FExit(program) => program
                .load(function, self.types()?)
                .and_then(|()| program.attach().map(drop)),
            Program::KProbe(program) => {
                return program
                    .load()
                    .and_then(|()| program.attach(function, 0).map(drop))
                    .map_err(|error| unprobeable(&error, function));
            }
            _ => {
                let why = format!("{name} is no program for a function");
                return Err(Refusal::Function(why));
            }
        };
        attached.map_err(|error| untraceable(&error, function))
    }

    fn types(&mut self) -> Result<&Btf, Refusal> {
        self.types
            .get_or_insert_with(|| {
                Btf::parse_file(&self.btf, Endianness::default()).map_err(|error| error.to_string())
            })
            .as_ref()
            .map_err(|why| Refusal::Facility(why.clone()))
    }
}

/// Why a function cannot be traced.
fn untraceable(error: &ProgramError, function: &str) -> Refusal {
    match error {
        ProgramError::Btf(BtfError::UnknownBtfTypeName { .. }) => Refusal::Function(format!(
            "this kernel's types have no function {function} for fentry"
        )),
        // What is wrong with one function is another error.
        ProgramError::LoadError { io_error, .. }
            if io_error.raw_os_error() == Some(libc::EPERM) =>
        {
            Refusal::Facility(format!("no fentry: {}", reason(error)))
        }
        other => Refusal::Function(format!("no fentry: {}", reason(other))),
    }
}

/// Why a function cannot be probed: the compiler may have made it a part of another, or another one
/// of it.
fn unprobeable(error: &ProgramError, function: &str) -> Refusal {
    match error {
        ProgramError::SyscallError(error) if error.io_error.kind() == io::ErrorKind::NotFound => {
            Refusal::Function(format!(
                "no kprobe: this kernel has no function {function} to put one on"
            ))
        }
        // What the kernel has of kprobes in sysfs is not there.
        ProgramError::KProbeError(_) => Refusal::Facility("this kernel has no kprobes".to_owned()),
        other => Refusal::Function(format!("no kprobe: {}", reason(other))),
    }
}
