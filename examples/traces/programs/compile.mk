# SPDX-License-Identifier: BSD-2-Clause
#
# The recorded compile: the library, file by file, into an archive. Run where vm/ and include/ are.
sources := $(sort $(wildcard vm/*.c vm/*/*.c))
objects := $(notdir $(sources:.c=.o))
vpath %.c $(sort $(dir $(sources)))

library.a: $(objects)
	ar rc $@ $^

%.o: %.c
	gcc -std=c11 -O2 -g -I. -Iinclude -c -o $@ $<
