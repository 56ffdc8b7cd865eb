#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turns a text file into a C string: embed.py NAME INPUT OUTPUT makes `const char NAME[]`."""
import sys

name, source, target = sys.argv[1:]
with open(source, 'rb') as f:
    data = f.read()
lines = [', '.join(str(b) for b in data[i:i + 24]) for i in range(0, len(data), 24)]
with open(target, 'w', encoding='ascii') as f:
    f.write(f'/* made from {source.rsplit("/", 1)[-1]} */\n')
    f.write(f'extern const char {name}[];\nconst char {name}[] = {{\n')
    f.write(',\n'.join(lines + ['0']) + '};\n')
