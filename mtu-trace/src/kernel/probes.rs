//! Programs at the kernel's functions: by fentry and fexit, or by kprobe and kretprobe.

use std::io;
use std::path::{Path, PathBuf};

use aya::programs::{Program, ProgramError};
use aya::{Btf, BtfError, Ebpf, Endianness};

use crate::kernel::hooks::Mechanism;
use crate::kernel::program::{Refusal, program};

/// What attaching takes, and what has become of it so far.
pub struct Probes {
    btf: PathBuf,
    /// The kernel's types as the loader has them, once they were asked for.
    types: Option<Result<Btf, String>>,
    /// Facilities that the kernel does not have at all, and why: to try each function takes a while.
    absent: Vec<(Mechanism, Refusal)>,
}

/// How far a refusal reaches.
enum Obstacle {
    /// It is this function alone.
    Function(Refusal),
    /// All functions: no program of the kind can be anywhere.
    Facility(Refusal),
}

/// A reason that the kernel has nothing to do with.
fn not_tried(why: String) -> Refusal {
    Refusal {
        why,
        by_kernel: false,
    }
}

/// The reason that an error tells, why `what` is not to be had.
fn no(what: &str, error: ProgramError) -> Refusal {
    let refusal: Refusal = error.into();
    Refusal {
        why: format!("no {what}: {}", refusal.why),
        ..refusal
    }
}

impl Probes {
    /// Takes the kernel's types from this file, when they are needed.
    pub fn new(btf: &Path) -> Self {
        Self {
            btf: btf.to_owned(),
            types: None,
            absent: Vec::new(),
        }
    }

    /// Loads the programs of one attachment and attaches each to its function. If one of them cannot be,
    /// none stays.
    pub fn attach(
        &mut self,
        ebpf: &mut Ebpf,
        facility: Mechanism,
        programs: &[(&str, &str)],
    ) -> Result<(), Refusal> {
        let absent = self.absent.iter().find(|(absent, _)| *absent == facility);
        if let Some((_, refusal)) = absent {
            return Err(refusal.clone());
        }
        let attached = programs
            .iter()
            .try_for_each(|(name, function)| self.one(ebpf, name, function));
        let Err(obstacle) = attached else {
            return Ok(());
        };
        for (name, _) in programs {
            // Of several, that is; one that was never loaded says so.
            let _not_loaded = match ebpf.program_mut(name) {
                Some(Program::FEntry(program)) => program.unload(),
                Some(Program::KProbe(program)) => program.unload(),
                _ => continue,
            };
        }
        Err(match obstacle {
            Obstacle::Function(refusal) => refusal,
            Obstacle::Facility(refusal) => {
                self.absent.push((facility, refusal.clone()));
                refusal
            }
        })
    }

    fn one(&mut self, ebpf: &mut Ebpf, name: &str, function: &str) -> Result<(), Obstacle> {
        let program = program(ebpf, name)
            .map_err(|error| Obstacle::Function(not_tried(error.to_string())))?;
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
                    .map_err(|error| unprobeable(error, function));
            }
            _ => {
                let why = format!("{name} is no program for a function");
                return Err(Obstacle::Function(not_tried(why)));
            }
        };
        attached.map_err(|error| untraceable(error, function))
    }

    fn types(&mut self) -> Result<&Btf, Obstacle> {
        self.types
            .get_or_insert_with(|| {
                Btf::parse_file(&self.btf, Endianness::default()).map_err(|error| error.to_string())
            })
            .as_ref()
            .map_err(|why| Obstacle::Facility(not_tried(why.clone())))
    }
}

/// Why a function cannot be traced.
fn untraceable(error: ProgramError, function: &str) -> Obstacle {
    match &error {
        ProgramError::Btf(BtfError::UnknownBtfTypeName { .. }) => {
            let why = format!("this kernel's types have no function {function} for fentry");
            Obstacle::Function(not_tried(why))
        }
        // What is wrong with one function is another error.
        ProgramError::LoadError { io_error, .. }
            if io_error.raw_os_error() == Some(libc::EPERM) =>
        {
            Obstacle::Facility(no("fentry", error))
        }
        _ => Obstacle::Function(no("fentry", error)),
    }
}

/// Why a function cannot be probed: the compiler may have made it a part of another, or another one
/// of it.
fn unprobeable(error: ProgramError, function: &str) -> Obstacle {
    match error {
        ProgramError::SyscallError(error) if error.io_error.kind() == io::ErrorKind::NotFound => {
            let why = format!("no kprobe: this kernel has no function {function} to put one on");
            Obstacle::Function(not_tried(why))
        }
        // What the kernel has of kprobes in sysfs is not there.
        ProgramError::KProbeError(_) => {
            Obstacle::Facility(not_tried("this kernel has no kprobes".to_owned()))
        }
        other => Obstacle::Function(no("kprobe", other)),
    }
}
