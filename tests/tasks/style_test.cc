// Entries written by hand from the manuals' rules, and the parts that they are made of.
#include "models/tasks/style.h"

#include <gtest/gtest.h>

#include "models/tasks/style_parts.h"
#include "models/tasks/text.h"

namespace ac::tasks {
namespace {

Person person(std::string given, std::string family, std::string suffix = "") {
  return {std::move(given), std::move(family), std::move(suffix), false};
}

Reference article() {
  Reference r;
  r.type = ReferenceType::kArticle;
  r.authors = {person("Jan Willem", "van der Berg"), person("Marie-Claire", "Dubois")};
  r.year = 2019;
  r.title = "effects of {DNA} damage on root growth: a long-term study";
  r.container = "Journal of Plant Physiology";
  r.container_short = "J. Plant Physiol.";
  r.volume = "12";
  r.issue = "3";
  r.first_page = "1234";
  r.last_page = "1248";
  r.doi = "10.1234/jpp.2019.7";
  return r;
}

Reference book() {
  Reference r;
  r.type = ReferenceType::kBook;
  r.authors = {person("Martin Luther", "King", "Jr.")};
  r.year = 1967;
  r.title = "where do we go from here: chaos or community";
  r.publisher = "Oxford University Press";
  r.place = "Oxford";
  r.edition = 2;
  return r;
}

Reference chapter() {
  Reference r;
  r.type = ReferenceType::kChapter;
  r.authors = {person("Éva", "Szabó")};
  r.editors = {person("Ana", "de la Cruz"), person("Óscar M.", "Lund")};
  r.year = 2001;
  r.title = "soil carbon in {Norway}";
  r.container = "handbook of soil science";
  r.publisher = "Brill";
  r.place = "Leiden";
  r.first_page = "321";
  r.last_page = "328";
  return r;
}

Reference conference() {
  Reference r;
  r.type = ReferenceType::kConference;
  r.authors = {person("Li", "Wei"), person("Ravi", "Gupta"), person("Nora", "Eide")};
  r.year = 2015;
  r.title = "does noise predict drift?";
  r.container = "Proceedings of the European Symposium on Optics";
  r.publisher = "Elsner";
  r.place = "Vienna";
  r.first_page = "101";
  r.last_page = "108";
  return r;
}

Reference preprint() {
  Reference r;
  r.type = ReferenceType::kPreprint;
  r.authors = {person("Zoë", "Frank")};
  r.year = 2021;
  r.title = "cold atoms in {LED} traps";
  r.container = "arXiv";
  r.doi = "10.48550/arXiv.2101.00001";
  return r;
}

Reference thesis(bool doctoral) {
  Reference r;
  r.type = ReferenceType::kThesis;
  r.authors = {person("Sara", "Okonkwo")};
  r.year = 2010;
  r.title = "voter trust in mining towns";
  r.publisher = "University of Leeds";
  r.place = "Leeds";
  r.doctoral = doctoral;
  return r;
}

std::vector<Person> crowd(size_t n) {
  std::vector<Person> people;
  for (size_t i = 0; i < n; ++i) {
    people.push_back(person("Ann", "Author" + std::string(1, static_cast<char>('a' + i))));
  }
  return people;
}

TEST(Apa, EveryTypeOfWork) {
  EXPECT_EQ(format_apa(article()),
            "van der Berg, J. W., & Dubois, M.-C. (2019). Effects of DNA damage on root growth: A "
            "long-term study. *Journal of Plant Physiology*, *12*(3), 1234–1248. "
            "https://doi.org/10.1234/jpp.2019.7");
  EXPECT_EQ(format_apa(book()),
            "King, M. L., Jr. (1967). *Where do we go from here: Chaos or community* (2nd ed.). "
            "Oxford University Press.");
  EXPECT_EQ(format_apa(chapter()),
            "Szabó, É. (2001). Soil carbon in Norway. In A. de la Cruz & Ó. M. Lund (Eds.), "
            "*Handbook of soil science* (pp. 321–328). Brill.");
  EXPECT_EQ(format_apa(conference()),
            "Wei, L., Gupta, R., & Eide, N. (2015). Does noise predict drift? In *Proceedings of "
            "the European Symposium on Optics* (pp. 101–108). Elsner.");
  EXPECT_EQ(format_apa(preprint()),
            "Frank, Z. (2021). *Cold atoms in LED traps*. arXiv. "
            "https://doi.org/10.48550/arXiv.2101.00001");
  EXPECT_EQ(format_apa(thesis(true)),
            "Okonkwo, S. (2010). *Voter trust in mining towns* [Doctoral dissertation, University "
            "of Leeds].");
}

TEST(Apa, MissingFieldsAndUnusualAuthors) {
  Reference r = article();
  r.year.reset();
  r.doi.clear();
  r.issue.clear();
  r.first_page = r.last_page = "";
  r.authors = {{"", "World Health Council", "", true}};
  EXPECT_EQ(format_apa(r),
            "World Health Council. (n.d.). Effects of DNA damage on root growth: A long-term "
            "study. *Journal of Plant Physiology*, *12*.");
  r.authors = {person("", "Plato")};
  EXPECT_EQ(format_apa(r).substr(0, 13), "Plato. (n.d.)");
  r.authors = {person("Henry", "Ford", "III")};
  EXPECT_EQ(format_apa(r).substr(0, 22), "Ford, H., III. (n.d.).");
  Reference one = chapter();
  one.editors = {person("Ana", "Cruz")};
  one.last_page.clear();
  EXPECT_EQ(format_apa(one),
            "Szabó, É. (2001). Soil carbon in Norway. In A. Cruz (Ed.), *Handbook of soil "
            "science* (p. 321). Brill.");
}

TEST(Apa, TwentyAuthorsAreNamedTwentyOneAreNot) {
  Reference r = preprint();
  r.authors = crowd(20);
  EXPECT_NE(format_apa(r).find("Authors, A., & Authort, A. (2021)"), std::string::npos);
  r.authors = crowd(21);
  EXPECT_NE(format_apa(r).find("Authorr, A., Authors, A., . . . Authoru, A. (2021)"),
            std::string::npos);
  EXPECT_EQ(format_apa(r).find("Authort"), std::string::npos);
}

TEST(Mla, EveryTypeOfWork) {
  EXPECT_EQ(format_mla(article()),
            "van der Berg, Jan Willem, and Marie-Claire Dubois. “Effects of DNA Damage on Root "
            "Growth: A Long-Term Study.” *Journal of Plant Physiology*, vol. 12, no. 3, 2019, pp. "
            "1234–48, https://doi.org/10.1234/jpp.2019.7.");
  EXPECT_EQ(format_mla(book()),
            "King, Martin Luther, Jr. *Where Do We Go from Here: Chaos or Community*. 2nd ed., "
            "Oxford UP, 1967.");
  EXPECT_EQ(format_mla(chapter()),
            "Szabó, Éva. “Soil Carbon in Norway.” *Handbook of Soil Science*, edited by Ana de la "
            "Cruz and Óscar M. Lund, Brill, 2001, pp. 321–28.");
  EXPECT_EQ(format_mla(conference()),
            "Wei, Li, et al. “Does Noise Predict Drift?” *Proceedings of the European Symposium on "
            "Optics*, Elsner, 2015, pp. 101–08.");
  EXPECT_EQ(format_mla(preprint()),
            "Frank, Zoë. “Cold Atoms in LED Traps.” *arXiv*, 2021, "
            "https://doi.org/10.48550/arXiv.2101.00001.");
  EXPECT_EQ(format_mla(thesis(true)),
            "Okonkwo, Sara. *Voter Trust in Mining Towns*. 2010. U of Leeds, PhD dissertation.");
  EXPECT_EQ(format_mla(thesis(false)),
            "Okonkwo, Sara. *Voter Trust in Mining Towns*. 2010. U of Leeds, Master’s thesis.");
}

TEST(Mla, MissingFields) {
  Reference r = article();
  r.year.reset();
  r.doi.clear();
  r.issue.clear();
  r.authors = {person("J. W.", "Berg")};
  EXPECT_EQ(format_mla(r),
            "Berg, J. W. “Effects of DNA Damage on Root Growth: A Long-Term Study.” *Journal of "
            "Plant Physiology*, vol. 12, pp. 1234–48.");
}

TEST(Chicago, EveryTypeOfWork) {
  EXPECT_EQ(format_chicago(article()),
            "van der Berg, Jan Willem, and Marie-Claire Dubois. 2019. “Effects of DNA Damage on "
            "Root Growth: A Long-Term Study.” *Journal of Plant Physiology* 12 (3): 1234–48. "
            "https://doi.org/10.1234/jpp.2019.7.");
  EXPECT_EQ(format_chicago(book()),
            "King, Martin Luther, Jr. 1967. *Where Do We Go from Here: Chaos or Community*. 2nd "
            "ed. Oxford: Oxford University Press.");
  EXPECT_EQ(format_chicago(chapter()),
            "Szabó, Éva. 2001. “Soil Carbon in Norway.” In *Handbook of Soil Science*, edited by "
            "Ana de la Cruz and Óscar M. Lund, 321–28. Leiden: Brill.");
  EXPECT_EQ(format_chicago(conference()),
            "Wei, Li, Ravi Gupta, and Nora Eide. 2015. “Does Noise Predict Drift?” In "
            "*Proceedings of the European Symposium on Optics*, 101–8. Vienna: Elsner.");
  EXPECT_EQ(format_chicago(preprint()),
            "Frank, Zoë. 2021. “Cold Atoms in LED Traps.” Preprint, arXiv. "
            "https://doi.org/10.48550/arXiv.2101.00001.");
  EXPECT_EQ(format_chicago(thesis(true)),
            "Okonkwo, Sara. 2010. “Voter Trust in Mining Towns.” PhD diss., University of Leeds.");
}

TEST(Chicago, TenAuthorsAreNamedElevenAreNot) {
  Reference r = thesis(true);
  r.year.reset();
  r.authors = crowd(10);
  EXPECT_NE(format_chicago(r).find("Ann Authori, and Ann Authorj. n.d. “"), std::string::npos);
  r.authors = crowd(11);
  EXPECT_NE(format_chicago(r).find("Ann Authorf, Ann Authorg, et al. n.d. “"), std::string::npos);
}

TEST(Ieee, EveryTypeOfWork) {
  EXPECT_EQ(format_ieee(article()),
            "J. W. van der Berg and M.-C. Dubois, “Effects of DNA damage on root growth: A "
            "long-term study,” *J. Plant Physiol.*, vol. 12, no. 3, pp. 1234–1248, 2019, doi: "
            "10.1234/jpp.2019.7.");
  EXPECT_EQ(
      format_ieee(book()),
      "M. L. King Jr., *Where Do We Go from Here: Chaos or Community*, 2nd ed. Oxford: Oxford "
      "University Press, 1967.");
  EXPECT_EQ(
      format_ieee(chapter()),
      "É. Szabó, “Soil carbon in Norway,” in *Handbook of Soil Science*, A. de la Cruz and Ó. "
      "M. Lund, Eds. Leiden: Brill, 2001, pp. 321–328.");
  EXPECT_EQ(format_ieee(conference()),
            "L. Wei, R. Gupta, and N. Eide, “Does noise predict drift?” in *Proc. European "
            "Symposium on Optics*, Vienna, 2015, pp. 101–108.");
  EXPECT_EQ(format_ieee(preprint()),
            "Z. Frank, “Cold atoms in LED traps,” *arXiv*, 2021, doi: 10.48550/arXiv.2101.00001.");
  EXPECT_EQ(format_ieee(thesis(false)),
            "S. Okonkwo, “Voter trust in mining towns,” M.S. thesis, University of Leeds, Leeds, "
            "2010.");
}

TEST(Ieee, SixAuthorsAreNamedSevenAreNot) {
  Reference r = preprint();
  r.authors = crowd(6);
  EXPECT_NE(format_ieee(r).find("A. Authore, and A. Authorf, “"), std::string::npos);
  r.authors = crowd(7);
  EXPECT_EQ(format_ieee(r).substr(0, 19), "A. Authora et al., ");
}

TEST(Vancouver, EveryTypeOfWork) {
  EXPECT_EQ(
      format_vancouver(article()),
      "van der Berg JW, Dubois MC. Effects of DNA damage on root growth: a long-term study. J "
      "Plant Physiol. 2019;12(3):1234-48. doi: 10.1234/jpp.2019.7.");
  EXPECT_EQ(format_vancouver(book()),
            "King ML Jr. Where do we go from here: chaos or community. 2nd ed. Oxford: Oxford "
            "University Press; 1967.");
  EXPECT_EQ(format_vancouver(chapter()),
            "Szabó É. Soil carbon in Norway. In: de la Cruz A, Lund ÓM, editors. Handbook of soil "
            "science. Leiden: Brill; 2001. p. 321-8.");
  EXPECT_EQ(format_vancouver(conference()),
            "Wei L, Gupta R, Eide N. Does noise predict drift? In: Proceedings of the European "
            "Symposium on Optics. Vienna: Elsner; 2015. p. 101-8.");
  EXPECT_EQ(format_vancouver(preprint()),
            "Frank Z. Cold atoms in LED traps. arXiv [Preprint]. 2021. doi: "
            "10.48550/arXiv.2101.00001.");
  EXPECT_EQ(format_vancouver(thesis(true)),
            "Okonkwo S. Voter trust in mining towns [dissertation]. Leeds: University of Leeds; "
            "2010.");
}

TEST(Vancouver, MissingFieldsAndManyAuthors) {
  Reference r = book();
  r.authors = {person("Henry B. C.", "Ford", "III")};
  r.year.reset();
  r.place.clear();
  EXPECT_EQ(format_vancouver(r),
            "Ford HB 3rd. Where do we go from here: chaos or community. 2nd ed. [place unknown]: "
            "Oxford University Press; [date unknown].");
  r.authors = crowd(7);
  EXPECT_EQ(format_vancouver(r).substr(0, 82),
            "Authora A, Authorb A, Authorc A, Authord A, Authore A, Authorf A, et al. Where do ");
}

TEST(InText, EachStyle) {
  Reference two = article();
  Reference three = conference();
  Reference four = conference();
  four.authors = crowd(4);
  Reference undated = book();
  undated.year.reset();
  EXPECT_EQ(cite_apa({&two, "1240", 0}), "(van der Berg & Dubois, 2019, p. 1240)");
  EXPECT_EQ(cite_apa({&three, "", 0}), "(Wei et al., 2015)");
  EXPECT_EQ(cite_apa({&undated, "", 0}), "(King, n.d.)");
  EXPECT_EQ(cite_mla({&two, "1240", 0}), "(van der Berg and Dubois 1240)");
  EXPECT_EQ(cite_mla({&three, "", 0}), "(Wei et al.)");
  EXPECT_EQ(cite_chicago({&two, "1240", 0}), "(van der Berg and Dubois 2019, 1240)");
  EXPECT_EQ(cite_chicago({&three, "", 0}), "(Wei, Gupta, and Eide 2015)");
  EXPECT_EQ(cite_chicago({&four, "", 0}), "(Authora et al. 2015)");
  EXPECT_EQ(cite_ieee({&two, "", 4}), "[4]");
  EXPECT_EQ(cite_ieee({&two, "9", 4}), "[4, p. 9]");
  EXPECT_EQ(cite_vancouver({&two, "", 4}), "(4)");
  EXPECT_EQ(cite_vancouver({&two, "9", 4}), "(4 p9)");
}

// Chicago 17, table 9.61 and MLA 9, section 5.87, print these very examples.
TEST(Pages, RangesAsTheManualsShortenThem) {
  const auto chicago = [](const char* a, const char* b) {
    return shortened(a, b, PageRange::kChicago);
  };
  EXPECT_EQ(chicago("3", "10"), "10");
  EXPECT_EQ(chicago("71", "72"), "72");
  EXPECT_EQ(chicago("100", "104"), "104");
  EXPECT_EQ(chicago("1100", "1113"), "1113");
  EXPECT_EQ(chicago("101", "108"), "8");
  EXPECT_EQ(chicago("808", "833"), "33");
  EXPECT_EQ(chicago("1103", "1104"), "4");
  EXPECT_EQ(chicago("321", "328"), "28");
  EXPECT_EQ(chicago("498", "532"), "532");
  EXPECT_EQ(chicago("1087", "1089"), "89");
  EXPECT_EQ(chicago("1496", "1500"), "500");
  EXPECT_EQ(chicago("11564", "11615"), "615");
  const auto mla = [](const char* a, const char* b) {
    return shortened(a, b, PageRange::kTwoDigits);
  };
  EXPECT_EQ(mla("21", "48"), "48");
  EXPECT_EQ(mla("96", "101"), "101");
  EXPECT_EQ(mla("103", "104"), "04");
  EXPECT_EQ(mla("923", "1003"), "1003");
  EXPECT_EQ(mla("1003", "1005"), "05");
  EXPECT_EQ(mla("1608", "1774"), "774");
  const auto vancouver = [](const char* a, const char* b) {
    return shortened(a, b, PageRange::kShortest);
  };
  EXPECT_EQ(vancouver("284", "287"), "7");
  EXPECT_EQ(vancouver("1200", "1205"), "5");
  EXPECT_EQ(vancouver("99", "101"), "101");
}

TEST(Titles, SentenceAndHeadline) {
  const std::string title = "of mice and {DNA}: an as-yet untold story of";
  EXPECT_EQ(unbraced(sentence_case(title, true)), "Of mice and DNA: An as-yet untold story of");
  EXPECT_EQ(unbraced(sentence_case(title, false)), "Of mice and DNA: an as-yet untold story of");
  EXPECT_EQ(unbraced(headline_case(title)), "Of Mice and DNA: An As-Yet Untold Story Of");
  EXPECT_EQ(unbraced(headline_case("from {KL-42} to low-cost tests")),
            "From KL-42 to Low-Cost Tests");
}

TEST(Names, Initials) {
  EXPECT_EQ(initials("Jean-Pierre M.", {}), "J.-P. M.");
  EXPECT_EQ(initials("Émile Óscar", {}), "É. Ó.");
  EXPECT_EQ(initials("J. W.", {}), "J. W.");
  EXPECT_EQ(initials("Jean-Pierre M.", {.dots = false, .max = 2}), "JP");
}

TEST(Text, PeriodsAreNotDoubled) {
  EXPECT_EQ(with_period("a"), "a.");
  EXPECT_EQ(with_period("a."), "a.");
  EXPECT_EQ(with_period("*Why?*"), "*Why?*");
  EXPECT_EQ(with_period("“Why?”"), "“Why?”");
}

}  // namespace
}  // namespace ac::tasks
