//! The services of tarteaucitron 1.34.0, by the types in its own list: analytics, ads, social
//! networks with comments and videos, support with APIs. Services of type "other" have no default
//! category and need `map`.

use crate::consent::Category;

/// Each category with its service ids.
pub(super) const SERVICES: &[(Category, &str)] = &[
    (
        Category::ANALYTICS,
        "actistat adobeanalytics adobeworkspace amplitude analytics atinternet \
         atinternethightrack clarity clicky compteur contentsquare crazyegg emolytics etracker \
         eulerian firebase force24 freshsalescrm gajs getplus getquanty gtag hotjar hubspot \
         kameleoon koban kompass leadforensicsold leadinfo matomo matomocloud matomoheatmap \
         matomohightrack mautic metrica microanalytics microsoftcampaignanalytics mixpanel \
         multiplegtag openwebanalytics pardot pianoanalytics piwikpro plausible plezi sharpspring \
         shinystat simpleanalytics snapchat statcounter teambrain tiktok twitteruwt usercom \
         userpilot verizondottag visualrevenue webmecanik weborama wysistat wysistathightrack \
         xiti xiti_smarttag zohopagesense gcmanalyticsstorage",
    ),
    (
        Category::TARGETING,
        "activecampaign adform adsense adsenseauto adsensesearch adsensesearchform \
         adsensesearchresult aduptech_ads aduptech_conversion aduptech_retargeting affilae amazon \
         antvoice cjcom clickdimensions clicmanager criteo criteoonetag datingaffiliation \
         datingaffiliationpopup doubleclick equativ eskimi facebookpixel goldenbees googleads \
         googleadwordsconversion googleadwordsremarketing googlepartners klaviyo kwanko \
         leadforensics linkedininsighttag madmetrics outbrain outbrainamplify pinterestpixel \
         piximedia prelinker pubdirecte reddit shareasale skaze teads thetradedesk twenga vshop \
         xandr xandrconversion xandrsegment gcmadstorage gcmadsuserdata gcmpersonalization",
    ),
    (
        Category::SOCIAL,
        "acast addthis addtoanyfeed addtoanyshare archive artetv calameo calameolibrary canalu \
         dailymotion deezer discord disqus ekomi facebook facebookcomment facebookcustomerchat \
         facebooklikebox facebookpost fculture gplus gplusbadge instagram linkedin mixcloud \
         pinterest playplay podcloud prezi rumbletalk shareaholic sharethis sharethissticky \
         slideshare spotify tiktokvideo twitch twitter twitterembed twittertimeline videas vimeo \
         webtvnu youtube youtubeapi youtubeplaylist",
    ),
    (
        Category::FUNCTIONAL,
        "abtasty arcio brevochat dialoginsight dynatrace elfsight genially geoportail googlefonts \
         googlemaps googlemapsembed googlemapssearch googletagmanager helloasso intercomChat \
         jsapi m6meteo markerio marketomunchkin matomotm meteofrance mtcaptcha \
         multiplegoogletagmanager myfeelback onesignal openstreetmap pingdom pipedrive purechat \
         recaptcha robofabrica screeb seamlessaccess smartsupp stonly stripe studizz tagcommander \
         tawkto timelinejs tolkaigenii twitterwidgetsapi typekit ubib userlike uservoice weply \
         zoho zopim gcmfunctionality",
    ),
];
