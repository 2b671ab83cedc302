//! The pickle machine: binary opcodes of protocols 2 to 5, allowed names only.
//!
//! Opcodes are those of CPython's `Lib/pickletools.py`.

use std::collections::HashMap;

use super::cursor::Cursor;
use super::{Global, Heap, Object, PROTO, Value};
use crate::model::state_dict::fault::{Fault, Result};

/// Bounds time and memory: each step makes or copies at most one value of 24 bytes. A ResNet50
/// takes 10 thousand, the same with its optimizer 40 thousand.
const MAX_STEPS: usize = 1 << 20;

/// What a pickle came to.
#[derive(Debug)]
pub(in crate::model::state_dict) struct Pickle<'a> {
    pub root: Value<'a>,
    pub heap: Heap<'a>,
    /// Its length.
    pub num_bytes: usize,
}

/// Reads the pickle at the start of `bytes`.
///
/// # Errors
/// A fault when the pickle ends early, is malformed, takes more steps than any state dict, or asks
/// for a name that a state dict does not need.
pub(in crate::model::state_dict) fn read(bytes: &[u8]) -> Result<Pickle<'_>> {
    let mut machine = Machine {
        input: Cursor::new(bytes),
        heap: Heap::default(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        steps_left: MAX_STEPS,
    };
    if machine.input.u8()? != PROTO {
        return Err(Fault::damaged("a pickle is missing"));
    }
    machine.protocol()?;
    while machine.step()? {}
    let root = machine.pop()?;
    Ok(Pickle { root, heap: machine.heap, num_bytes: machine.input.position() })
}

pub(super) struct Machine<'a> {
    input: Cursor<'a>,
    pub(super) heap: Heap<'a>,
    pub(super) stack: Vec<Value<'a>>,
    /// Heights of the stack at which a mark was set.
    marks: Vec<usize>,
    memo: HashMap<u32, Value<'a>>,
    steps_left: usize,
}

impl<'a> Machine<'a> {
    /// Runs one opcode; false after the last.
    fn step(&mut self) -> Result<bool> {
        self.spend(1)?;
        match self.input.u8()? {
            b'.' => return Ok(false),
            PROTO => self.protocol()?,
            // FRAME: groups opcodes for buffered reading and changes nothing.
            0x95 => drop(self.input.array::<8>()?),

            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_to_mark()?),
            b'2' => self.stack.push(self.top()?),

            b'N' => self.stack.push(Value::None),
            0x88 => self.stack.push(Value::Bool(true)),
            0x89 => self.stack.push(Value::Bool(false)),
            b'J' => {
                let value = self.input.i32()?;
                self.stack.push(Value::Int(i64::from(value)));
            }
            b'K' => {
                let value = self.input.u8()?;
                self.stack.push(Value::Int(i64::from(value)));
            }
            b'M' => {
                let value = self.input.u16()?;
                self.stack.push(Value::Int(i64::from(value)));
            }
            0x8a => {
                let bytes = self.input.short_counted()?;
                self.stack.push(integer(bytes));
            }
            0x8b => {
                let bytes = self.input.counted()?;
                self.stack.push(integer(bytes));
            }
            // BINFLOAT
            b'G' => {
                self.input.array::<8>()?;
                self.stack.push(Value::Inert);
            }

            // Text of protocol 3 and later, then that of Python 2, then bytes.
            b'X' => self.text(Cursor::counted)?,
            0x8c => self.text(Cursor::short_counted)?,
            0x8d => self.text(Cursor::long_counted)?,
            b'U' => self.native_text(Cursor::short_counted)?,
            b'T' => self.native_text(Cursor::counted)?,
            b'C' => self.bytes(Cursor::short_counted)?,
            b'B' => self.bytes(Cursor::counted)?,
            // BINBYTES8, BYTEARRAY8
            0x8e | 0x96 => self.bytes(Cursor::long_counted)?,

            // A set is only ever looked past, so a list stands for it.
            b']' | 0x8f => self.push_object(Object::List(Vec::new()))?,
            b'a' => {
                let item = self.pop()?;
                self.list()?.push(item);
            }
            b'e' | 0x90 => {
                let items = self.pop_to_mark()?;
                self.list()?.extend(items);
            }
            // FROZENSET
            0x91 => {
                self.pop_to_mark()?;
                self.stack.push(Value::Inert);
            }
            b')' => self.push_object(Object::Tuple(Vec::new()))?,
            0x85 => self.push_tuple(1)?,
            0x86 => self.push_tuple(2)?,
            0x87 => self.push_tuple(3)?,
            b't' => {
                let items = self.pop_to_mark()?;
                self.push_object(Object::Tuple(items))?;
            }
            b'}' => self.push_object(Object::Dict(Vec::new()))?,
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.dict()?.push((key, value));
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                let (pairs, rest) = items.as_chunks::<2>();
                if !rest.is_empty() {
                    return Err(malformed("a dict's key has no value"));
                }
                self.dict()?.extend(pairs.iter().map(|&[key, value]| (key, value)));
            }

            b'q' => {
                let index = self.input.u8()?;
                self.remember(u32::from(index))?;
            }
            b'r' => {
                let index = self.input.u32()?;
                self.remember(index)?;
            }
            0x94 => self.remember(self.memo.len() as u32)?,
            b'h' => {
                let index = self.input.u8()?;
                self.recall(u32::from(index))?;
            }
            b'j' => {
                let index = self.input.u32()?;
                self.recall(index)?;
            }

            b'c' => {
                let module = self.input.line()?;
                let name = self.input.line()?;
                self.stack.push(Value::Global(Global::find(module, name)?));
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Value::Str(name), Value::Str(module)) = (name, module) else {
                    return Err(malformed("a name that is not text"));
                };
                self.stack.push(Value::Global(Global::find(module.as_bytes(), name.as_bytes())?));
            }
            // REDUCE, NEWOBJ
            b'R' | 0x81 => self.call()?,
            b'b' => self.set_state()?,
            b'Q' => self.persistent_object()?,

            opcode => return Err(malformed(&format!("opcode {opcode:#04x}"))),
        }
        Ok(true)
    }

    fn protocol(&mut self) -> Result<()> {
        match self.input.u8()? {
            2..=5 => Ok(()),
            other => Err(malformed(&format!("protocol {other}"))),
        }
    }

    pub(super) fn spend(&mut self, steps: usize) -> Result<()> {
        self.steps_left = self
            .steps_left
            .checked_sub(steps)
            .ok_or_else(|| Fault::damaged("its pickle is longer than any state dict's"))?;
        Ok(())
    }

    pub(super) fn pop(&mut self) -> Result<Value<'a>> {
        let value = self.top()?;
        self.stack.pop();
        Ok(value)
    }

    /// The top of the stack, which must lie above the last mark.
    pub(super) fn top(&self) -> Result<Value<'a>> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.get(floor..) {
            Some([.., top]) => Ok(*top),
            _ => Err(malformed("an operand is missing")),
        }
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value<'a>>> {
        let height = self.marks.pop().ok_or_else(|| malformed("a mark is missing"))?;
        Ok(self.stack.split_off(height))
    }

    pub(super) fn push_object(&mut self, object: Object<'a>) -> Result<()> {
        let value = self.heap.add(object)?;
        self.stack.push(value);
        Ok(())
    }

    fn push_tuple(&mut self, length: usize) -> Result<()> {
        let mut items = Vec::with_capacity(length);
        for _ in 0..length {
            items.push(self.pop()?);
        }
        items.reverse();
        self.push_object(Object::Tuple(items))
    }

    fn text(&mut self, counted: fn(&mut Cursor<'a>) -> Result<&'a [u8]>) -> Result<()> {
        let text = std::str::from_utf8(counted(&mut self.input)?)
            .map_err(|_| malformed("text that is not UTF-8"))?;
        self.stack.push(Value::Str(text));
        Ok(())
    }

    /// Python 2's `str`: names are text, anything else is looked past.
    fn native_text(&mut self, counted: fn(&mut Cursor<'a>) -> Result<&'a [u8]>) -> Result<()> {
        let text = std::str::from_utf8(counted(&mut self.input)?);
        self.stack.push(text.map_or(Value::Inert, Value::Str));
        Ok(())
    }

    fn bytes(&mut self, counted: fn(&mut Cursor<'a>) -> Result<&'a [u8]>) -> Result<()> {
        counted(&mut self.input)?;
        self.stack.push(Value::Inert);
        Ok(())
    }

    fn top_object(&mut self) -> Result<&mut Object<'a>> {
        match self.top()? {
            Value::Object(id) => Ok(self.heap.get_mut(id)),
            _ => Err(malformed("parts are added to a value that has none")),
        }
    }

    fn list(&mut self) -> Result<&mut Vec<Value<'a>>> {
        match self.top_object()? {
            Object::List(items) => Ok(items),
            _ => Err(malformed("items are added to what is no list")),
        }
    }

    fn dict(&mut self) -> Result<&mut Vec<(Value<'a>, Value<'a>)>> {
        match self.top_object()? {
            Object::Dict(entries) => Ok(entries),
            _ => Err(malformed("entries are added to what is no dict")),
        }
    }

    fn remember(&mut self, index: u32) -> Result<()> {
        let value = self.top()?;
        self.memo.insert(index, value);
        Ok(())
    }

    fn recall(&mut self, index: u32) -> Result<()> {
        let value = *self.memo.get(&index).ok_or_else(|| malformed("an unknown memo entry"))?;
        self.stack.push(value);
        Ok(())
    }
}

/// LONG1, LONG4: two's complement, little-endian, of any length.
fn integer(bytes: &[u8]) -> Value<'_> {
    if bytes.len() > 8 {
        return Value::BigInt(bytes);
    }
    let sign = if bytes.last().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
    let mut extended = [sign; 8];
    extended[..bytes.len()].copy_from_slice(bytes);
    Value::Int(i64::from_le_bytes(extended))
}

pub(super) fn malformed(what: &str) -> Fault {
    Fault::Damaged(format!("its pickle has {what}"))
}
