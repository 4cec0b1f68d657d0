//! Programs at the kernel's functions: by fentry and fexit, or by kprobe and kretprobe.

use std::{
    io,
    path::{Path, PathBuf},
};

use aya::{
    Btf, BtfError, Ebpf, Endianness,
    programs::{Program, ProgramError},
};

use super::{
    hooks::Way,
    load::{program, reason},
};

/// What attaching takes.
pub struct Probes {
    btf: PathBuf,
    /// The kernel's types as the loader has them, once they were asked for.
    types: Option<Result<Btf, String>>,
}

impl Probes {
    /// With the kernel's types from this file.
    pub fn new(btf: &Path) -> Self {
        Self {
            btf: btf.to_owned(),
            types: None,
        }
    }

    /// Loads and attaches the programs of one way. If one of them cannot be, none stays.
    pub fn attach(&mut self, ebpf: &mut Ebpf, way: &Way) -> Result<(), String> {
        let attached = way
            .programs
            .iter()
            .try_for_each(|name| self.one(ebpf, name, way.target));
        if attached.is_err() {
            for name in way.programs {
                // Of several, that is; one that was never loaded says so.
                if let Some(Program::KProbe(program)) = ebpf.program_mut(name) {
                    let _not_loaded = program.unload();
                }
            }
        }
        attached
    }

    fn one(&mut self, ebpf: &mut Ebpf, name: &str, function: &str) -> Result<(), String> {
        let program = program(ebpf, name).map_err(|error| reason(&error))?;
        match program {
            Program::FEntry(program) => {
                program
                    .load(function, self.types()?)
                    .map_err(|error| untraceable(&error, function))?;
                program
                    .attach()
                    .map_err(|error| untraceable(&error, function))?;
            }
            Program::FExit(program) => {
                program
                    .load(function, self.types()?)
                    .map_err(|error| untraceable(&error, function))?;
                program
                    .attach()
                    .map_err(|error| untraceable(&error, function))?;
            }
            Program::KProbe(program) => {
                program.load().map_err(|error| reason(&error))?;
                program
                    .attach(function, 0)
                    .map_err(|error| unprobeable(&error, function))?;
            }
            _ => return Err(format!("{name} is no program for a function")),
        }
        Ok(())
    }

    fn types(&mut self) -> Result<&Btf, String> {
        self.types
            .get_or_insert_with(|| {
                Btf::parse_file(&self.btf, Endianness::default()).map_err(|error| error.to_string())
            })
            .as_ref()
            .map_err(Clone::clone)
    }
}

/// Why a function cannot be traced.
fn untraceable(error: &ProgramError, function: &str) -> String {
    match error {
        ProgramError::Btf(BtfError::UnknownBtfTypeName { .. }) => {
            format!("this kernel's types have no function {function} for fentry")
        }
        other => format!("no fentry: {}", reason(other)),
    }
}

/// Why a function cannot be probed: the compiler may have made it a part of another, or another one
/// of it.
fn unprobeable(error: &ProgramError, function: &str) -> String {
    match error {
        ProgramError::SyscallError(error) if error.io_error.kind() == io::ErrorKind::NotFound => {
            format!("no kprobe: this kernel has no function {function} to put one on")
        }
        // What the kernel has of kprobes in sysfs is not there.
        ProgramError::KProbeError(_) => "this kernel has no kprobes".to_owned(),
        other => format!("no kprobe: {}", reason(other)),
    }
}
