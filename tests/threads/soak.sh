#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# soak.sh THREADS-SOAK [SECONDS [SEED]] - all designs for half an hour, or as long as is said, from a
# seed that is different every time unless it is given. It ends at the first failure.
seconds=${2:-1800}
seed=${3:-$(date +%s)}
exec "$1" --seed="$seed" --seconds="$seconds"
