"""Training in parts: users and items are divided, and a bucket is one part of each.

Users are divided into P parts by a hash of their ids, items into 16·P chunks likewise. Every epoch
groups the chunks anew, at random, into P item parts, and bucket (i, j) holds the interactions of
user part i with item part j. User part after user part meets all item parts. A bucket touches the
rows of its users and its items alone, with negatives from its item part; it is one run of the
ordinary session, and a pure function of these rows, the seed, the epoch and its place. It may run
when those before it in its row and in its column have. So what is learned depends on the seed and
P, never on where buckets ran, how many at a time, or whether rows lay in memory or in files.

    parts       what is read: interactions in memory (`division`) or in files (`prepared`)
    buckets     the order of an epoch, and the interactions of a bucket
    trainer     what a model trains in a bucket: `triplets`, `centroids`, `reconstruction`
    learner     bucket after bucket, with rows in memory (`memory`) or in files (`files`)
    on_cluster  buckets as tasks of Ray, reached through `cluster`
    prepare     a log larger than memory into parts in files
"""
