# SPDX-License-Identifier: BSD-2-Clause
#
# prefork.pl - a server whose workers are forked before the clients come, and retire after some
# requests; every client is a process, too. They talk over a unix socket.
use strict;
use warnings;
use IO::Socket::UNIX;

use constant { WORKERS => 5, REQUESTS_A_WORKER => 12, CLIENTS => 20, REQUESTS_A_CLIENT => 6 };

my $path = "prefork.sock";
unlink $path;
my $listener = IO::Socket::UNIX->new(Local => $path, Listen => 64) or die "$path: $!";
my %table = map { $_ => "value " . $_ x 8 } 1 .. 12000;

# What a worker counts becomes its own: pages of the table are copied.
sub work {
    for (1 .. REQUESTS_A_WORKER) {
        my $client = $listener->accept or last;
        my $key = <$client>;
        chomp $key;
        $table{$key} .= "+";
        $table{"by $$"}++;
        print $client $table{$key}, "\n";
        close $client;
    }
    exit 0;
}

sub ask {
    my $number = shift;
    for my $request (1 .. REQUESTS_A_CLIENT) {
        my $server = IO::Socket::UNIX->new(Peer => $path) or die "$path: $!";
        print $server ($number * 577 + $request * 31) % 12000 + 1, "\n";
        my $answer = <$server>;
        die "no answer" unless defined $answer;
    }
    exit 0;
}

sub start {
    my ($job, @arguments) = @_;
    my $pid = fork // die "fork: $!";
    $job->(@arguments) if $pid == 0;
    return $pid;
}

alarm 60;
my %workers = map { start(\&work) => 1 } 1 .. WORKERS;
my %clients = map { start(\&ask, $_) => 1 } 1 .. CLIENTS;
my $retired = 0;
while (%clients) {
    my $pid = wait;
    if (delete $workers{$pid}) {
        $retired++;
        $workers{ start(\&work) } = 1;
    }
    die "a client failed" if delete $clients{$pid} && $?;
}
kill 'TERM', keys %workers;
1 while wait > 0;
unlink $path;
print "$retired workers retired\n";
