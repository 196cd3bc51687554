package dev.kindling.job;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.kindling.job.broadcast.ExecutorModels;
import dev.kindling.job.config.JobConfig;
import dev.kindling.job.evaluate.Evaluation;
import dev.kindling.job.evaluate.Evaluator;
import java.util.List;
import org.apache.spark.sql.SparkSession;

/** Loss and accuracy of a base, alone or with an adapter, on data.validation. */
public final class EvaluateJob {
  private EvaluateJob() {}

  /** Evaluates; returns the object for stdout. */
  public static ObjectNode run(SparkSession session, JobConfig config) {
    Preparation prepared = Preparation.of(session, config);
    try (Evaluator evaluator =
        new Evaluator(
            prepared.cluster(),
            prepared.evaluated(session),
            prepared.grouping(),
            "data.validation")) {
      if (!prepared.nested()) {
        return evaluator.evaluate(prepared.start(), List.of()).json();
      }
      List<Evaluation> ranks = evaluator.ranks(prepared.start());
      System.err.print(Evaluation.lines(ranks));
      ObjectNode whole = ranks.get(ranks.size() - 1).json();
      whole.set("ranks", Evaluation.table(ranks));
      return whole;
    } finally {
      ExecutorModels.release(prepared.cluster().spec().run());
    }
  }
}
