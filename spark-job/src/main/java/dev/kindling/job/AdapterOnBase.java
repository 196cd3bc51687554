package dev.kindling.job;

import dev.kindling.job.config.JobConfig;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.model.ModelPlan;
import dev.kindling.model.load.Families;
import java.util.List;
import org.apache.hadoop.conf.Configuration;

/**
 * A trained adapter and the base that it is for, opened without a cluster.
 *
 * @param labels class names; none of a language model
 */
record AdapterOnBase(
    Sources sources,
    ModelPlan plan,
    AdapterLayout layout,
    float[] trainables,
    List<String> labels) {
  static AdapterOnBase open(JobConfig config, Configuration hadoop) {
    Sources sources = Sources.open(config, hadoop);
    List<String> labels = sources.named();
    ModelPlan plan = Families.plan(sources.base().config(), Math.max(1, labels.size()));
    AdapterLayout layout = sources.layout(config, plan);
    return new AdapterOnBase(sources, plan, layout, sources.start(config, plan, layout), labels);
  }
}
