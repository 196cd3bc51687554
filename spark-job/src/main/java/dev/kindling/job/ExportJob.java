package dev.kindling.job;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.kindling.export.Notes;
import dev.kindling.export.PeftWriter;
import dev.kindling.job.config.ConfigProblems;
import dev.kindling.job.config.JobConfig;
import dev.kindling.job.config.JobConfig.Target;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.BaseChange;
import dev.kindling.lora.BaseChange.Adapter;
import dev.kindling.lora.Prefix;
import dev.kindling.tensor.Storage;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;
import org.apache.hadoop.conf.Configuration;

/**
 * Cuts the adapter of a lower rank out of another: of one whose prefixes are adapters, or with the
 * base that has the other ranks in it.
 */
public final class ExportJob {
  private ExportJob() {}

  /** Exports; returns the object for stdout. */
  public static ObjectNode run(Configuration hadoop, JobConfig config) {
    Target target = config.target().orElseThrow();
    AdapterOnBase opened = AdapterOnBase.open(config, hadoop);
    AdapterLayout layout = opened.layout();
    int most = layout.settings().r();
    int rank = target.rank().orElse(most);
    boolean nested = opened.sources().nested();
    ConfigProblems.check(problems(target, layout, rank, nested, opened.sources().codes()));
    Prefix first =
        target.baseTo().isPresent()
            ? new Prefix(layout, layout.atRank(rank)) // at the same scale
            : Prefix.of(layout, rank);
    Adapter cut = new Adapter(first.narrow(), first.take(opened.trainables()));
    ObjectNode result = new ObjectMapper().createObjectNode();
    result.put("to", target.to());
    result.put("rank", rank);
    result.put("parameters", cut.layout().learnedElements());
    if (target.baseTo().isEmpty()) {
      write(target.to(), hadoop, opened, cut, config.base().path(), nested);
    } else {
      String base = target.baseTo().get();
      BaseChange others = BaseChange.behind(layout, opened.trainables(), rank);
      Adapter added = new Adapter(layout.pairs(others.rank()), others.factors());
      new ChangedBase(opened, added, cut, List.of())
          .write(
              new ChangedBase.Place("base-to", base, hadoop),
              config,
              result.put("baseTo", base),
              () -> write(target.to(), hadoop, opened, cut, base, false));
    }
    System.err.printf("exported: rank %d of %d, in %s%n", rank, most, target.to());
    return result;
  }

  /**
   * @param base path that the adapter names
   * @param nested whether its prefixes are adapters
   */
  private static void write(
      String to,
      Configuration hadoop,
      AdapterOnBase opened,
      Adapter cut,
      String base,
      boolean nested) {
    NewFolder.write(
        "to",
        to,
        hadoop,
        files ->
            PeftWriter.write(
                files,
                opened.plan().linears(),
                cut.layout(),
                cut.values(),
                new PeftWriter.Base(
                    base, opened.plan().predictsTokens(), opened.plan().storesTransposed()),
                new Notes(Optional.of(opened.labels()), nested, opened.sources().codes())));
  }

  private static List<String> problems(
      Target target, AdapterLayout layout, int rank, boolean nested, Optional<Storage> codes) {
    int most = layout.settings().r();
    if (rank > most) {
      return List.of("rank is " + rank + ", and the adapter's is " + most);
    }
    if (target.baseTo().isEmpty()) {
      return rank == most || nested
          ? List.of()
          : List.of(
              "rank is "
                  + rank
                  + ": the adapter is one only at its own rank, "
                  + most
                  + "; train with method = dylora for one whose every rank is, or set base-to for a"
                  + " base that has the other ranks in it");
    }
    if (target.rank().isEmpty() || rank == most) {
      return List.of(
          "base-to needs a rank below the adapter's, "
              + most
              + ": the first ranks stay an adapter, the others go into the base; set rank to"
              + " adapter.r of the run");
    }
    if (layout.settings().magnitudes()) {
      return List.of(
          "base-to: rows of a DoRA have lengths of their own, of which no part can be added; use"
              + " merge for all of it");
    }
    if (codes.isPresent()) {
      return List.of(
          "base-to: the adapter has learned beside base.storage = "
              + codes.get().spelled()
              + ", and codes of a changed base are others; leave base-to out");
    }
    return layout.settings().divides(rank)
        ? List.of()
        : List.of(
            "rank is "
                + rank
                + ": layers of rank_pattern have a whole rank in proportion at "
                + IntStream.range(1, most).filter(layout.settings()::divides).boxed().toList());
  }
}
