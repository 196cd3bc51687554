package dev.kindling.job;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.kindling.cost.PairClock.Timed;
import dev.kindling.job.broadcast.MemoryPlan;
import dev.kindling.job.config.ConfigProblems;
import dev.kindling.job.config.JobConfig;
import dev.kindling.job.ingest.Examples;
import java.util.List;
import java.util.Optional;
import org.apache.spark.sql.SparkSession;

/**
 * What a cluster is to be asked for, before there is one: the plans of memory and heaps, by
 * counting, for executors of as many tasks as this machine is told to run, or as they are to have
 * GPUs. Of those, tensors on the device count as the host's too: an upper bound.
 */
public final class SizesJob {
  private SizesJob() {}

  /** Counts; returns the object for stdout. */
  public static ObjectNode run(SparkSession session, JobConfig config) {
    if (config.sync().averages() && config.sync().workers().isEmpty()) {
      throw new ConfigProblems(
          List.of(
              "sync.workers is missing: its default is what the cluster has, and sizes are wanted"
                  + " before there is one; set it"));
    }
    Preparation prepared = Preparation.withoutWeights(session, config);
    prepared.cluster().requireClock(config.compute().measures());
    Examples examples = prepared.trained(session);
    Optional<Examples> held = prepared.held(session);
    List<Timed> timed = config.compute().measures() ? prepared.time(examples) : List.of();
    Preparation planned = timed.isEmpty() ? prepared : prepared.pinned(timed);
    long steps =
        config.training().orElseThrow().totalSteps(examples.count(), config.compute().batch());
    int all = config.compute().parts(); // tasks of a step can be no more, whatever the cluster
    Needs needs = Synchronisation.of(config, steps, all, Optional.empty()).needs(planned);
    needs.requirePossible();
    MemoryPlan memory = needs.memory(planned.memory(examples, held));
    examples.release();
    held.ifPresent(Examples::release);
    ObjectNode object = new ObjectMapper().createObjectNode();
    object.put("cluster", needs.sizes(memory).cluster());
    return object;
  }
}
