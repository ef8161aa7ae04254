"""Training in parts: users and items are divided, and a bucket is one part of each.

Users are split into P parts by a hash of their ids, items into 16·P chunks likewise. Every epoch
groups the chunks anew, at random, into P item parts, and bucket (i, j) holds the interactions of
user part i with item part j. An epoch is P rounds; the P buckets (i, (i + shift) mod P) of a round
touch no row in common, so that they may run anywhere, at the same time. One bucket is one run of
the ordinary session on these rows alone, with negatives from its item part, and a pure function of
them, the seed, the epoch and its place. So what is learned depends on the seed and P, never on
where buckets ran or in what order those of a round did.
"""
