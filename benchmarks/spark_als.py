"""Spark's ALS in a process of its own, for spark.py: one fit for each line of JSON that comes in.

The first line names the training pairs (Parquet: user, item, rating), the threads and the memory.
Each further one has the settings of `pyspark.ml.recommendation.ALS` and a folder for the factors;
the answer is how long `fit` took, with the pairs in memory and Spark started.
"""

import ctypes.util
import json
import os
import sys
import time


def main():
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what Spark prints must not mix with the answers
    spec = json.loads(sys.stdin.readline())
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # Spark's own threads call it

    import pyspark
    from pyspark.ml.recommendation import ALS
    from pyspark.sql import SparkSession

    began = time.perf_counter()
    spark = (
        SparkSession.builder.master(f"local[{spec['threads']}]")
        .config("spark.driver.memory", spec["memory"])
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.local.dir", spec["scratch"])
        .config("spark.sql.shuffle.partitions", spec["blocks"])
        .config("spark.log.level", "ERROR")
        .getOrCreate()
    )
    start = time.perf_counter() - began
    pairs = spark.read.parquet(spec["train"]).repartition(spec["blocks"]).cache()
    count = pairs.count()
    columns = {"userCol": "user", "itemCol": "item", "ratingCol": "rating", "seed": 0}
    columns |= {"implicitPrefs": True, "intermediateStorageLevel": "MEMORY_ONLY"}
    columns |= {"numUserBlocks": spec["blocks"], "numItemBlocks": spec["blocks"]}
    ALS(**columns, rank=8, maxIter=1).fit(pairs.limit(10_000))  # Spark compiles as it runs
    asked = "SELECT java_method('java.lang.System', 'getProperty', 'java.version')"
    java = spark.sql(asked).first()[0]
    native = ctypes.util.find_library("blas") is not None
    about = {"pyspark": pyspark.__version__, "java": java, "system BLAS": native}
    about |= {"seconds to start": round(start, 2), "pairs": count}
    print(json.dumps(about), file=answers, flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        out = asked.pop("out")
        began = time.perf_counter()
        model = ALS(**columns, **asked).fit(pairs)
        seconds = time.perf_counter() - began
        model.userFactors.write.mode("overwrite").parquet(f"{out}/users")
        model.itemFactors.write.mode("overwrite").parquet(f"{out}/items")
        print(json.dumps({"seconds": seconds}), file=answers, flush=True)
    spark.stop()


main()
